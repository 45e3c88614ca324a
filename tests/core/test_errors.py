"""The error tree: what each error says, and that it survives being written down and sent to another process."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from gateway import errors
from gateway.errors import GatewayError, Outcome, RateLimited

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GatewayError)]
CONTEXT = {
    "account": "shop",
    "provider": "toy",
    "operation": "orders.create",
    "reference": "cart-1",
    "provider_code": "E-7",
    "hint": "look again",
}


def same(one: GatewayError, other: GatewayError) -> bool:
    return type(one) is type(other) and vars(one) == vars(other) and str(one) == str(other)


def test_all_classes_are_public_and_drawn() -> None:
    assert {kind.__name__ for kind in CLASSES} | {"Outcome"} == set(errors.__all__)
    assert errors.__doc__ is not None
    for kind in CLASSES:
        assert f" {kind.__name__} " in errors.__doc__ or f" {kind.__name__}\n" in errors.__doc__


@pytest.mark.parametrize("kind", CLASSES)
class TestEveryClass:
    def test_it_survives_a_dictionary_and_a_pickle(self, kind: type[GatewayError]) -> None:
        for outcome in Outcome:
            for retryable in (True, False):
                error = kind("it went wrong", outcome=outcome, retryable=retryable, **CONTEXT)
                assert same(GatewayError.from_dict(json.loads(json.dumps(error.to_dict()))), error)
                assert same(pickle.loads(pickle.dumps(error)), error)
                assert same(copy.copy(error), error)

    def test_so_does_one_with_its_defaults(self, kind: type[GatewayError]) -> None:
        error = kind("it went wrong")
        assert same(GatewayError.from_dict(error.to_dict()), error)
        assert same(pickle.loads(pickle.dumps(error)), error)

    def test_its_text_names_place_and_what_to_do(self, kind: type[GatewayError]) -> None:
        assert str(kind("it went wrong", **CONTEXT)) == ("shop (toy) orders.create cart-1: it went wrong — look again")
        assert str(kind("it went wrong", hint="")) == "it went wrong"
        assert str(kind("it went wrong", hint="", provider="toy")) == "toy: it went wrong"
        assert str(kind("it went wrong", hint="", account="shop", reference="r")) == "shop r: it went wrong"

    def test_about_fills_in_and_never_replaces(self, kind: type[GatewayError]) -> None:
        error = kind("x", account="first", hint="")
        assert error.about(account="second", provider="toy", operation="orders.get", reference="r-1") is error
        assert str(error) == "first (toy) orders.get r-1: x"
        error.about(provider="other", operation="other", reference="other")
        assert str(error) == "first (toy) orders.get r-1: x"


def test_rate_limited_keeps_how_long_to_wait() -> None:
    error = RateLimited("slow down", retry_after=12.5, account="shop")
    assert error.retryable
    for again in (GatewayError.from_dict(json.loads(json.dumps(error.to_dict()))), pickle.loads(pickle.dumps(error))):
        assert isinstance(again, RateLimited)
        assert again.retry_after == 12.5
    assert "retry_after" not in errors.NotFound("x").to_dict()


@pytest.mark.parametrize(
    "kind, outcome, retryable",
    [
        (errors.ConfigurationError, "not_sent", False),
        (errors.UnsupportedOperation, "not_sent", False),
        (errors.UnverifiedOperation, "not_sent", False),
        (errors.InvalidRequest, "not_sent", False),
        (errors.LimitExceeded, "not_sent", False),
        (errors.IdempotencyConflict, "not_sent", False),
        (errors.AuthenticationFailed, "rejected", False),
        (errors.PermissionDenied, "rejected", False),
        (errors.InsufficientFunds, "rejected", False),
        (errors.RateLimited, "not_sent", True),
        (errors.ProviderUnavailable, "not_sent", True),
        (errors.OutcomeUnknown, "unknown", False),
        (errors.MalformedResponse, "rejected", False),
    ],
)
def test_what_an_error_says_by_itself(kind: type[GatewayError], outcome: str, retryable: bool) -> None:
    error = kind("x")
    assert (error.outcome, error.retryable) == (outcome, retryable)


def test_a_class_that_this_version_does_not_know_is_still_an_error() -> None:
    error = GatewayError.from_dict({"error": "FromTheFuture", "message": "hello", "outcome": "unknown"})
    assert (type(error), error.message, error.outcome) == (GatewayError, "hello", Outcome.UNKNOWN)
    assert type(GatewayError.from_dict({"error": "Outcome"})) is GatewayError


def test_invalid_request_is_a_value_error_and_a_conflict_of_references_a_conflict() -> None:
    assert issubclass(errors.InvalidRequest, ValueError)
    assert issubclass(errors.IdempotencyConflict, errors.Conflict)
