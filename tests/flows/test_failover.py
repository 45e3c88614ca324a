"""A provider that is down does not stop the shop: what moves an order on, what does not, and what is told of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from flows.pair import Pair, route
from flows.world import cart
from gateway import flows
from gateway.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
    StoreError,
)
from gateway.hookspecs import hookimpl
from gateway.models import Choice, OrderException, OrderStatus
from gateway.plugins import load_plugins
from gateway.store import health, journal
from gateway.store.tables import account_health, events, watches
from gateway.testing import faults
from support import toy
from support.colours import Opened, opened
from support.loopback import Loopback, refusing

TWIN = Path(__file__).parent / "twin.py"
E, S = OrderException, OrderStatus


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path) as made:
        yield made


def rows(gw: Opened, query: Any) -> list[Any]:
    return gw.core.database().transaction(lambda connection: connection.execute(query).all())


def told(gw: Opened) -> list[str]:
    """The types of all events, in order."""
    return [row.type for row in rows(gw, select(events).order_by(events.c.id))]


def states(gw: Opened, reference: str = "cart-1001") -> list[str]:
    return [str(entry.state) for entry in gw.journal.show(reference)]


def verdicts(choices: Sequence[Choice]) -> list[tuple[int, str, str]]:
    return [(choice.number, choice.account, str(choice.verdict)) for choice in choices]


# What moves it on

Broken = Callable[[Pair], dict[str, Any]]


def fault(fault: faults.CallFault) -> Broken:
    def broken(pair: Pair) -> dict[str, Any]:
        pair.first.faults("aurpay").add(fault)
        return {}

    return broken


def status(code: int, **more: Any) -> Broken:
    # One that asks for patience beyond the deadline is not repeated by the engine.
    return fault(faults.Status(status=code, headers={"Retry-After": "900"}, method="POST", **more))


NOTHING_DONE: dict[str, tuple[Broken, type[GatewayError]]] = {
    "503": (status(503), ProviderUnavailable),
    "429": (status(429), RateLimited),
    "401": (lambda pair: {"auth": {"kind": "api-key", "api_key": "wrong-key"}}, AuthenticationFailed),
    "403": (status(403), PermissionDenied),
    "no key": (
        lambda pair: {"auth": {"kind": "login", "username": "nobody", "password": "wrong"}},
        AuthenticationFailed,
    ),
}
UNKNOWN: dict[str, tuple[Broken, bool]] = {
    "500": (status(500), False),
    "500 and made": (status(500, executed=True), True),
    "dropped before": (fault(faults.Drop(executed=False, method="POST")), False),
    "dropped after": (fault(faults.Drop(executed=True, method="POST")), True),
    "foreign": (fault(faults.Foreign(executed=True, method="POST")), True),
}


@pytest.mark.parametrize("how", NOTHING_DONE)
def test_where_nothing_was_done_the_next_account_makes_the_order(
    pair: Pair, colour: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken, kind = NOTHING_DONE[how]
    with pair.gateway(colour, accounts=pair.accounts(shop=broken(pair))) as gw:
        order = gw.orders.create(cart())
        assert (order.account, order.status, order.exceptions) == ("backup", S.PENDING, frozenset())
        assert [(attempt.account, attempt.status) for attempt in order.attempts] == [
            ("shop", S.FAILED),
            ("backup", S.PENDING),
        ]
        assert order.attempts[0].error["error"] == kind.__name__
        assert states(gw) == ["rejected", "done"]
        # The order goes on, so nobody is told that it has failed.
        assert told(gw) == ["order.created"]
        (first, moved, second) = gw.orders.explain("cart-1001")
        assert verdicts([first, moved, second]) == [
            (1, "shop", "chosen"),
            (1, "shop", "moved-on"),
            (2, "backup", "chosen"),
        ]
        assert (first.reason, first.status) == ("account 1 of 2 in route 1", S.FAILED)
        assert first.error["error"] == kind.__name__
        assert moved.reason.startswith(f"{kind.__name__} (rejected): ")
        assert second.reason == "account 2 of 2 in route 1"
        assert gw.orders.create(cart()) == order
    assert pair.made() == (0, 1)
    assert any("cart-1001 goes on at backup" in record.getMessage() for record in caplog.records)


def test_where_nobody_listens_the_next_account_makes_the_order(pair: Pair, colour: str) -> None:
    with refusing() as url, pair.gateway(colour, accounts=pair.accounts(shop={"base_url": url})) as gw:
        order = gw.orders.create(cart())
        assert [(attempt.account, attempt.status) for attempt in order.attempts] == [
            ("shop", S.FAILED),
            ("backup", S.PENDING),
        ]
        assert order.attempts[0].error["outcome"] == "not_sent"
        assert told(gw) == ["order.created"]
        assert gw.orders.explain("cart-1001")[1].reason.startswith("ProviderUnavailable (not_sent): ")


@pytest.mark.parametrize("how", UNKNOWN)
def test_after_an_unknown_creation_the_next_account_makes_one_and_both_stay_watched(
    pair: Pair, colour: str, how: str
) -> None:
    broken, made = UNKNOWN[how]
    with pair.gateway(colour, accounts=pair.accounts(shop=broken(pair))) as gw:
        order = gw.orders.create(cart())
        assert (order.account, order.status, order.exceptions) == ("backup", S.PENDING, {E.UNCONFIRMED})
        assert [(attempt.account, attempt.status, attempt.exceptions) for attempt in order.attempts] == [
            ("shop", S.CREATING, {E.UNCONFIRMED}),
            ("backup", S.PENDING, frozenset()),
        ]
        assert states(gw) == ["unknown", "done"]
        watched = rows(gw, select(watches.c.account, watches.c.number, watches.c.rank).order_by(watches.c.number))
        assert [tuple(row) for row in watched] == [("shop", 1, 0), ("backup", 2, 1)]
        assert told(gw) == ["order.created"]
        assert gw.orders.explain("cart-1001")[1].reason.startswith("OutcomeUnknown (unknown): ")
        assert gw.orders.create(cart()) == order
    assert pair.made() == (int(made), 1)
    assert pair.asked() == (1, 1)


def test_money_that_reaches_both_attempts_is_paid_and_over(pair: Pair, colour: str) -> None:
    pair.world.lose_answer()
    with pair.gateway(colour) as gw:
        gw.orders.create(cart())
        (lost,), (made,) = pair.world.aurpay.orders(), pair.aurpay.orders()
        gw.journal.settle("cart-1001", outcome="done", reason="it is in the dashboard", provider_id=lost.id)
        pair.first.pay("aurpay", lost.id)
        assert (gw.orders.get("cart-1001").status, gw.orders.get("cart-1001").exceptions) == (S.PAID, frozenset())
        pair.second.pay("aurpay", made.id)
        order = gw.orders.get("cart-1001")
        assert (order.status, order.exceptions) == (S.PAID, {E.OVER})
        assert told(gw).count("order.overpaid") == 1


def test_an_adapter_that_refuses_the_order_itself_is_passed_over(pair: Pair, colour: str) -> None:
    plugins = toy.toy_plugins()
    plugins.providers.update(load_plugins().providers)
    with Loopback(app=toy.answers) as service:
        accounts = {"small": toy.account(service.url), **pair.accounts()}
        given = {"plugins": plugins, "accounts": accounts, "routes": [route("small", "shop")]}
        with opened(colour, **given) as gw:
            order = gw.orders.create(cart(price="25.00 GBP"))
            assert (order.account, len(order.attempts)) == ("shop", 1)
            assert [(choice.number, choice.account, choice.verdict) for choice in gw.orders.explain("cart-1001")] == [
                (1, "small", "refused"),
                (1, "shop", "chosen"),
            ]
            assert "toy takes prices in USD and EUR" in gw.orders.explain("cart-1001")[0].reason
            assert gw.orders.create(cart("dollars")).account == "small"
        assert [seen.path for seen in service.requests] == ["/orders"]


def test_when_every_adapter_refuses_it_nothing_is_recorded(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        with pytest.raises(InvalidRequest, match="does not take SOL@solana") as error:
            gw.orders.create(cart(pay_with="SOL@solana"))
        assert error.value.account == "backup"
        assert "tried shop: InvalidRequest (not_sent); backup: InvalidRequest (not_sent)" in error.value.hint
        assert "explain" not in error.value.hint
        assert gw.journal.list() == []
        with pytest.raises(NotFound):
            gw.orders.explain("cart-1001")
    assert pair.asked() == (0, 0)


# What does not

STAYS: dict[str, tuple[int, type[GatewayError]]] = {
    "400": (400, InvalidRequest),
    "404": (404, NotFound),
    "409": (409, Conflict),
    "422": (422, InvalidRequest),
}


@pytest.mark.parametrize("how", STAYS)
def test_a_refusal_of_what_the_request_says_does_not_move_it(pair: Pair, colour: str, how: str) -> None:
    code, kind = STAYS[how]
    status(code)(pair)
    with pair.gateway(colour) as gw:
        with pytest.raises(kind) as error:
            gw.orders.create(cart())
        assert (type(error.value), error.value.account) == (kind, "shop")
        order = gw.orders.get("cart-1001")
        assert [(attempt.account, attempt.status) for attempt in order.attempts] == [("shop", S.FAILED)]
        assert told(gw) == ["order.failed"]
        with pytest.raises(kind, match="it was not sent again"):
            gw.orders.create(cart())
    assert pair.asked() == (1, 0)


@pytest.mark.parametrize("how", ["503", "500"])
def test_an_account_that_is_named_is_not_left(pair: Pair, colour: str, how: str) -> None:
    (NOTHING_DONE["503"] if how == "503" else UNKNOWN["500"])[0](pair)
    with pair.gateway(colour) as gw:
        with pytest.raises(ProviderUnavailable if how == "503" else OutcomeUnknown) as error:
            gw.orders.create(cart(), account="shop")
        assert "tried" not in error.value.hint if error.value.hint else True
        assert [choice.reason for choice in gw.orders.explain("cart-1001")] == ["named in the call"]
    assert pair.asked() == (1, 0)


def test_another_request_under_the_same_reference_is_refused_in_the_middle_of_it(pair: Pair, colour: str) -> None:
    status(503)(pair)
    with pair.gateway(colour) as gw:
        with pytest.raises(ProviderUnavailable):
            gw.orders.create(cart(), account="shop")
        with pytest.raises(IdempotencyConflict, match="price differ"):
            gw.orders.create(cart(price="26 USD"))
        assert len(gw.orders.get("cart-1001", refresh=False).attempts) == 1
    assert pair.asked() == (1, 0)


def test_a_broken_store_is_not_taken_for_a_broken_provider(
    pair: Pair, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **named: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(journal, "mark_sent", broken)
    with pair.gateway(colour) as gw, pytest.raises(StoreError, match="the disk is full"):
        gw.orders.create(cart())
    assert pair.asked() == (0, 0)


# Never across

DEPOSIT = {"price": "100 USD", "pay_with": "USDT", "customer": "c-42"}


def test_an_order_for_the_merchant_never_becomes_a_customers(pair: Pair, colour: str) -> None:
    status(503)(pair)
    routes = [route("shop"), route("cards", settles_to="customer")]
    with pair.gateway(colour, routes=routes) as gw:
        pair.world.customer_with_card(gw)
        with pytest.raises(ProviderUnavailable):
            gw.orders.create(cart(customer="c-42"))
        (choice,) = [choice for choice in gw.orders.explain("cart-1001") if choice.account == "cards"]
        assert choice.verdict == "refused"
    assert pair.world.aurex.ledger()["deposits"] == []


def test_an_order_never_goes_on_in_another_environment(pair: Pair, colour: str) -> None:
    status(503)(pair)
    with pair.gateway(colour, accounts=pair.accounts(backup={"environment": "live"})) as gw:
        with pytest.raises(ProviderUnavailable):
            gw.orders.create(cart())
        (refused, _) = gw.orders.explain("cart-1001")
        assert (refused.account, refused.verdict, refused.reason) == (
            "backup",
            "refused",
            "it is live, and this order is sandbox",
        )
    assert pair.asked() == (1, 0)


# When no account is left


def test_when_all_fail_the_last_error_says_what_happened_at_each(pair: Pair, colour: str) -> None:
    status(503)(pair)
    pair.second.faults("aurpay").add(faults.Status(status=403, method="POST"))
    with pair.gateway(colour) as gw:
        with pytest.raises(PermissionDenied) as error:
            gw.orders.create(cart())
        assert error.value.account == "backup"
        assert (
            "tried shop: ProviderUnavailable (rejected); backup: PermissionDenied (rejected); "
            "see `gateway orders explain cart-1001`"
        ) in error.value.hint
        assert [note.split(":")[0] for note in error.value.__notes__] == ["shop", "backup"]
        order = gw.orders.get("cart-1001")
        assert [(attempt.account, attempt.status) for attempt in order.attempts] == [
            ("shop", S.FAILED),
            ("backup", S.CREATING),
        ]
        assert order.attempts[1].error["error"] == "PermissionDenied"
        assert told(gw) == []
        # The same call goes on: the last account once more, then the others anew.
        assert gw.orders.create(cart()).account == "backup"
        assert states(gw) == ["rejected", "done"]
    assert pair.asked() == (1, 2)


def test_what_may_have_been_made_is_what_is_told_when_the_rest_fail(pair: Pair, colour: str) -> None:
    pair.world.lose_answer()
    pair.second.faults("aurpay").add(faults.Status(status=403, method="POST", times=2))
    with pair.gateway(colour) as gw:
        for attempts in (2, 2):
            with pytest.raises(OutcomeUnknown) as error:
                gw.orders.create(cart())
            assert error.value.account == "shop"
            assert len(gw.orders.get("cart-1001", refresh=False).attempts) == attempts
        assert gw.orders.create(cart()).account == "backup"
        assert gw.orders.get("cart-1001").exceptions == {E.UNCONFIRMED}
    assert pair.asked() == (1, 3)


def test_when_all_are_unknown_nothing_is_sent_again(pair: Pair, colour: str) -> None:
    pair.world.lose_answer()
    pair.second.faults("aurpay").add(faults.Drop(executed=False, method="POST"))
    with pair.gateway(colour) as gw:
        for _ in range(3):
            with pytest.raises(OutcomeUnknown):
                gw.orders.create(cart())
        assert states(gw) == ["unknown", "unknown"]
        # To try once more at an account where it is unknown is said in so many words.
        assert gw.orders.renew("cart-1001").account == "shop"
    assert pair.asked() == (2, 1)


def test_a_refusal_after_a_failure_ends_it_and_tells_both(pair: Pair, colour: str) -> None:
    status(503)(pair)
    pair.second.faults("aurpay").add(faults.Status(status=422, method="POST"))
    with pair.gateway(colour) as gw:
        with pytest.raises(InvalidRequest) as error:
            gw.orders.create(cart())
        assert "tried shop: ProviderUnavailable (rejected); backup: InvalidRequest (rejected)" in error.value.hint
        assert gw.orders.get("cart-1001").status is S.FAILED
        assert told(gw) == ["order.failed"]
        with pytest.raises(InvalidRequest, match="it was not sent again"):
            gw.orders.create(cart())
    assert pair.asked() == (1, 1)


def test_a_later_call_begins_a_new_round(pair: Pair, colour: str) -> None:
    """All failed at noon; an hour later one of them works, and not the one that was asked last."""
    status(503)(pair)
    pair.second.faults("aurpay").add(faults.Status(status=403, method="POST", times=2))
    with pair.gateway(colour) as gw:
        with pytest.raises(PermissionDenied):
            gw.orders.create(cart())
        pair.clock.advance(3600)
        order = gw.orders.create(cart())
        assert [(attempt.account, attempt.status) for attempt in order.attempts] == [
            ("shop", S.FAILED),
            ("backup", S.FAILED),
            ("shop", S.PENDING),
        ]
        assert told(gw) == ["order.created"]
    assert pair.made() == (1, 0)


def test_the_attempts_of_one_order_have_an_end(pair: Pair, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.flows.failover.MOST_ATTEMPTS", 3)
    wrong = {"auth": {"kind": "api-key", "api_key": "wrong-key"}}
    pair.second.faults("aurpay").add(faults.Status(status=403, method="POST", times=100))
    with pair.gateway(colour, accounts=pair.accounts(shop=wrong)) as gw:
        for _ in range(4):
            with pytest.raises((AuthenticationFailed, PermissionDenied)):
                gw.orders.create(cart())
        assert len(gw.orders.get("cart-1001", refresh=False).attempts) == 3


# The deadline


def test_no_account_gets_all_of_the_deadline_while_others_are_left(pair: Pair, colour: str) -> None:
    pair.first.faults("aurpay").add(faults.Delay(seconds=30, method="POST"))
    with pair.gateway(colour, clock=None) as gw:
        order = gw.orders.create(cart(), deadline=1.5)
        assert (order.account, order.exceptions) == ("backup", {E.UNCONFIRMED})


def test_accounts_for_which_no_time_is_left_are_not_asked_and_named(pair: Pair, colour: str) -> None:
    with refusing() as url, pair.gateway(colour, accounts=pair.accounts(shop={"base_url": url})) as gw:
        # Every look at the clock costs more than the call may take.
        monotonic = pair.clock.monotonic
        seen = iter(range(10_000))
        pair.clock.monotonic = lambda: monotonic() + 0.4 * next(seen)  # type: ignore[method-assign]
        with pytest.raises(ProviderUnavailable) as error:
            gw.orders.create(cart(), deadline=1)
        assert error.value.account == "shop"
        assert "no time was left for backup" in error.value.hint
        pair.clock.monotonic = monotonic  # type: ignore[method-assign]
        assert gw.orders.create(cart()).account == "backup"
    assert pair.asked() == (0, 1)


# Accounts that keep failing


def failing(gw: Opened, pair: Pair, times: int, begin: int = 0) -> None:
    """So many orders whose creation at `shop` is unknown."""
    for number in range(begin, begin + times):
        pair.first.faults("aurpay").add(faults.Drop(executed=False, method="POST"))
        assert gw.orders.create(cart(f"failing-{number}")).account == "backup"


def test_an_account_that_keeps_failing_rests_and_is_probed_by_one_call(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        failing(gw, pair, 3)
        assert pair.asked() == (3, 3)
        for number in range(3):
            assert gw.orders.create(cart(f"resting-{number}")).account == "backup"
        assert pair.asked() == (3, 6)
        skipped, chosen = gw.orders.explain("resting-0")
        assert (skipped.account, skipped.verdict, skipped.number) == ("shop", "skipped", 1)
        assert skipped.reason.startswith("left alone until ")
        assert "it failed 3 times in a row, the last time with OutcomeUnknown" in skipped.reason
        assert (chosen.account, chosen.reason) == ("backup", "account 2 of 2 in route 1")
        pair.clock.advance(59)
        assert gw.orders.create(cart("still")).account == "backup"
        pair.clock.advance(2)
        # Probed by one call, which fails: it rests again, for the whole time.
        failing(gw, pair, 1, begin=10)
        assert pair.asked()[0] == 4
        assert gw.orders.create(cart("again")).account == "backup"
        pair.clock.advance(61)
        probed = gw.orders.create(cart("probe"))
        assert probed.account == "shop"
        assert gw.orders.explain("probe")[0].reason == "account 1 of 2 in route 1; tried again after its rest"
        assert gw.orders.create(cart("working")).account == "shop"
        assert rows(gw, select(account_health)) == []


def test_two_failures_are_not_three_and_a_success_forgets_them(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        failing(gw, pair, 2)
        assert gw.orders.create(cart("works")).account == "shop"
        failing(gw, pair, 2, begin=2)
        assert gw.orders.create(cart("works-too")).account == "shop"


def test_how_many_and_how_long_are_settings(pair: Pair, colour: str) -> None:
    with pair.gateway(colour, failover={"failures": 1, "cool_down": "3m"}) as gw:
        failing(gw, pair, 1)
        pair.clock.advance(170)
        assert gw.orders.create(cart("resting")).account == "backup"
        pair.clock.advance(15)
        assert gw.orders.create(cart("rested")).account == "shop"
    with pytest.raises(ConfigurationError, match=r"failover\.cool_down: expected a time as text, such as '60s'"):
        opened(colour, failover={"cool_down": 60}).__enter__()


@pytest.mark.parametrize("code", [401, 403, 422, 429])
def test_a_refusal_says_nothing_about_whether_the_account_works(pair: Pair, code: int) -> None:
    with pair.gateway(failover={"failures": 1}) as gw:
        status(code)(pair)
        with contextlib.suppress(GatewayError):
            gw.orders.create(cart())
        assert rows(gw, select(account_health)) == []


def test_reads_and_other_writes_do_not_count(pair: Pair, colour: str) -> None:
    with pair.gateway(colour, failover={"failures": 1}) as gw:
        order = gw.orders.create(cart())
        pair.first.faults("aurpay").add(faults.Status(status=500, times=100))
        with pytest.raises(ProviderUnavailable):
            gw.orders.get("cart-1001")
        assert rows(gw, select(account_health)) == []
        pair.first.faults("aurpay").clear()
        assert gw.orders.create(cart("next")).account == order.account == "shop"


def test_one_that_rests_is_used_all_the_same_when_it_is_the_only_one_left(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        failing(gw, pair, 3)
        pair.second.faults("aurpay").add(faults.Status(status=403, method="POST"))
        order = gw.orders.create(cart())
        assert [(attempt.account, attempt.status) for attempt in order.attempts] == [
            ("backup", S.FAILED),
            ("shop", S.PENDING),
        ]
        assert "no other account is left (left alone until" in gw.orders.explain("cart-1001")[-1].reason
        assert gw.orders.create(cart("next")).account == "shop", "it has worked since"


def test_one_that_rests_is_used_when_it_is_named(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        failing(gw, pair, 3)
        assert gw.orders.create(cart(), account="shop").account == "shop"
        assert rows(gw, select(account_health)) == []


def test_what_one_process_saw_counts_for_all(pair: Pair, colour: str) -> None:
    with pair.gateway(colour, store=pair.world.store) as gw:
        failing(gw, pair, 3)
    with pair.gateway(colour, store=pair.world.store) as gw:
        assert gw.orders.create(cart()).account == "backup"


def test_of_many_calls_at_once_one_probes(pair: Pair, colour: str) -> None:
    with pair.gateway(colour, clock=None) as gw:
        now = gw.core.now()
        due = {"account": "shop", "failures": 3, "open_until": now - timedelta(seconds=1), "updated_at": now}
        gw.core.database().transaction(lambda c: c.execute(insert(account_health).values(**due)))
        pair.first.faults("aurpay").add(faults.Delay(seconds=0.5, method="POST"))
        together = gw.together(6, lambda gateway, index: gateway.orders.create(cart(f"cart-{index}")))
        assert [error for error in together if isinstance(error, Exception)] == []
        chosen = [order.account for order in together]
        assert chosen.count("shop") >= 1
        probes = [gw.orders.explain(f"cart-{index}")[-1].reason for index in range(6)]
        assert sum("after its rest" in reason for reason in probes) == 1


def test_a_prober_that_dies_is_followed_by_another() -> None:
    from gateway.store.database import Database
    from support.virtual import START

    minute = timedelta(seconds=60)
    with Database.open("sqlite://") as store:

        def probe(now: Any) -> bool:
            return store.transaction(lambda c: health.probe(c, "shop", cool_down=minute, now=now))

        assert not probe(START), "it has not failed"
        for _ in range(2):
            store.transaction(
                lambda c: health.record_failure(c, "shop", "down", failures=2, cool_down=minute, now=START)
            )
        assert [probe(START + minute / 2), probe(START + minute), probe(START + minute)] == [False, True, False]
        assert [probe(START + minute * 2), probe(START + minute * 2)] == [True, False]
        store.transaction(lambda c: health.record_success(c, "shop"))
        assert store.read(lambda c: health.load_health(c, ["shop"])) == {}


def test_a_clock_that_is_set_back_lets_nothing_rest_for_longer(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        failing(gw, pair, 3)
        pair.clock.advance(-30)
        assert gw.orders.create(cart("earlier")).account == "backup"
        pair.clock.advance(-200)
        assert gw.orders.create(cart("set-back")).account == "shop"


# The plugin's say


class Chooser:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    @hookimpl
    def gateway_choose_account(self, request: Any, candidates: Sequence[str]) -> str:
        return self.answer


def test_what_a_plugin_prefers_is_tried_first_and_then_the_routes_order(pair: Pair, colour: str) -> None:
    chooser = Chooser("backup")
    plugins = load_plugins()
    plugins.manager.register(chooser)
    try:
        pair.second.faults("aurpay").add(faults.Drop(executed=False, method="POST"))
        with pair.gateway(colour, routes=[route("shop", "backup", "login")]) as gw:
            order = gw.orders.create(cart())
            assert [attempt.account for attempt in order.attempts] == ["backup", "shop"]
            assert gw.orders.explain("cart-1001")[0].reason == "chosen by a plugin"
    finally:
        plugins.manager.unregister(chooser)


def test_why_the_other_accounts_were_not_taken_is_kept(pair: Pair, colour: str) -> None:
    routes = [
        route("treasury", "login", currency="EUR"),
        route("treasury", "cards", "shop", max="100 USD"),
        route("backup", pay_with="BTC@lightning"),
        route("login", settles_to="customer"),
    ]
    with pair.gateway(colour, routes=routes) as gw:
        gw.orders.create(cart(settles_to="merchant"))
        found = {choice.account: choice for choice in gw.orders.explain("cart-1001")}
        assert [choice.verdict for choice in found.values()].count("refused") == 4
        assert found["login"].reason == "route 1: only for EUR"
        assert found["cards"].reason == "route 2: for the merchant's money, and it settles to the customer"
        assert found["backup"].reason == "route 3: only for orders paid in BTC@lightning"
        assert found["treasury"].reason.startswith("UnsupportedOperation: ")
        assert (found["shop"].verdict, found["shop"].reason) == ("chosen", "account 3 of 3 in route 2")


# A renewal


def test_a_renewal_goes_on_at_the_next_account_too(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        pair.first.expire("aurpay", gw.orders.create(cart()).provider_id)
        status(503)(pair)
        order = gw.orders.renew("cart-1001")
        assert [(attempt.account, attempt.status) for attempt in order.attempts] == [
            ("shop", S.EXPIRED),
            ("shop", S.FAILED),
            ("backup", S.PENDING),
        ]
        assert told(gw) == ["order.created", "order.expired", "order.renewed"]


def test_a_renewal_at_a_named_account_stays_there(pair: Pair, colour: str) -> None:
    with pair.gateway(colour) as gw:
        pair.first.expire("aurpay", gw.orders.create(cart()).provider_id)
        status(503)(pair)
        with pytest.raises(ProviderUnavailable):
            gw.orders.renew("cart-1001", account="shop")
        assert [attempt.account for attempt in gw.orders.get("cart-1001", refresh=False).attempts] == ["shop", "shop"]
    assert pair.asked() == (2, 0)


def test_an_attempt_that_turns_out_to_be_made_is_not_renewed(pair: Pair) -> None:
    """A person settles it between the look at it and the renewal."""
    pair.world.lose_answer()
    with pair.gateway() as gw:
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart(), account="shop")
        (made,) = pair.world.aurpay.orders()
        carry_out = gw.raw._driver._carry_out
        renewal = flows.orders.renew(gw.core, "cart-1001", account=None, seconds=None)
        effect = next(renewal)
        for _ in range(4):  # it was looked at twice, its request read, and the renewal planned
            effect = renewal.send(carry_out(effect))
        gw.journal.settle("cart-1001", outcome="done", reason="it is there", provider_id=made.id)
        with pytest.raises(Conflict, match="attempt 1 turned out to be made, at shop; nothing was sent"):
            to_its_end(renewal, carry_out, effect)
        assert len(gw.orders.get("cart-1001").attempts) == 1
    assert pair.asked() == (1, 0)


# A call that is repeated, and twins


@pytest.mark.parametrize("lost", ["not sent", "unknown"])
def test_a_call_that_ended_between_two_attempts_goes_on_when_it_is_repeated(pair: Pair, colour: str, lost: str) -> None:
    """A deploy stopped it after the first failure: what was recorded is the same as when the account was named."""
    (NOTHING_DONE["403"] if lost == "not sent" else UNKNOWN["dropped after"])[0](pair)
    with pair.gateway(colour, store=pair.world.store) as gw, pytest.raises(GatewayError):
        gw.orders.create(cart(), account="shop")
    with pair.gateway(colour, store=pair.world.store) as gw:
        order = gw.orders.create(cart())
        assert [attempt.account for attempt in order.attempts] == ["shop", "backup"]
        assert gw.orders.create(cart()) == order
        assert gw.orders.create(cart(), account="shop") == order
    assert pair.asked() == (1, 1)


def test_an_account_that_is_gone_from_the_configuration_is_left(pair: Pair, colour: str) -> None:
    status(403)(pair)
    with pair.gateway(colour, store=pair.world.store) as gw, pytest.raises(PermissionDenied):
        gw.orders.create(cart(), account="shop")
    accounts = pair.accounts()
    del accounts["shop"]
    with (
        pair.gateway(colour, store=pair.world.store, accounts=accounts, routes=[]) as gw,
        pytest.raises(ConfigurationError, match="no account is called 'shop'"),
    ):
        gw.orders.create(cart())
    with pair.gateway(colour, store=pair.world.store, accounts=accounts, routes=[route("backup")]) as gw:
        assert [attempt.account for attempt in gw.orders.create(cart()).attempts] == ["shop", "backup"]


def test_what_a_person_settled_as_failed_is_not_made_elsewhere(pair: Pair, colour: str) -> None:
    pair.first.faults("aurpay").add(faults.Drop(executed=False, method="POST"))
    with pair.gateway(colour) as gw:
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart(), account="shop")
        gw.journal.settle("cart-1001", outcome="failed", reason="not there", by="ops")
        with pytest.raises(GatewayError, match="settled by hand as failed by ops"):
            gw.orders.create(cart())
        assert gw.orders.renew("cart-1001").status is S.PENDING


def test_what_turned_out_to_be_made_is_not_made_again(pair: Pair, colour: str) -> None:
    """The last account failed; meanwhile a person found the order at the first, whose answer had been lost."""
    pair.world.lose_answer()
    pair.second.faults("aurpay").add(faults.Status(status=403, method="POST"))
    with pair.gateway(colour) as gw:
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart())
        (lost,) = pair.world.aurpay.orders()
        gw.journal.settle("cart-1001", outcome="done", reason="it is there", provider_id=lost.id)
        order = gw.orders.create(cart())
        assert (order.account, order.status, order.provider_id) == ("shop", S.PENDING, lost.id)
    assert pair.asked() == (1, 1)


def test_calls_at_once_make_one_order(pair: Pair, colour: str) -> None:
    pair.first.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
    with pair.gateway(colour, clock=None) as gw:
        together = gw.together(6, lambda gateway, index: gateway.orders.create(cart()))
        assert [error for error in together if isinstance(error, Exception)] == []
        assert {order.provider_id for order in together} == {order.id for order in pair.aurpay.orders()}
        assert states(gw) == ["unknown", "done"]
    assert pair.asked() == (1, 1)


def test_processes_at_once_make_one_order(pair: Pair) -> None:
    """The first account's answer takes a while and is then lost."""
    pair.first.faults("aurpay").add(faults.Status(status=500, executed=True, method="POST"))
    settings = json.dumps({"accounts": pair.accounts(), "store": pair.world.store, "routes": [route("shop", "backup")]})
    twins = [
        subprocess.Popen(
            [sys.executable, str(TWIN), "routed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for twin in twins:
        assert twin.stdin is not None
        twin.stdin.write(settings)
        twin.stdin.close()
    numbers = set()
    for twin in twins:
        with twin:
            assert twin.stdout is not None
            numbers.add(twin.stdout.read().strip())
        assert twin.returncode == 0
    (made,) = pair.aurpay.orders()
    assert numbers == {made.id}
    assert pair.asked() == (1, 1)
    with pair.gateway(store=pair.world.store) as gw:
        assert states(gw) == ["unknown", "done"]


def to_its_end(flow: Any, carry_out: Callable[[Any], Any], effect: Any) -> Any:
    while True:
        value, error = None, None
        try:
            value = carry_out(effect)
        except GatewayError as raised:
            error = raised
        try:
            effect = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as end:
            return end.value


def test_a_call_that_planned_an_attempt_which_another_has_made_gives_the_others_order(pair: Pair) -> None:
    """One call is about to begin at `shop`; before it does, another one fails there and succeeds at `backup`."""
    with pair.gateway() as gw:
        carry_out = gw.raw._driver._carry_out
        slow = flows.orders.create(gw.core, cart(), account=None, seconds=None)
        effect = next(slow)
        for _ in range(2):  # it has looked for the order, and planned
            effect = slow.send(carry_out(effect))
        status(403)(pair)
        made = gw.orders.create(cart())
        assert made.account == "backup"
        assert to_its_end(slow, carry_out, effect) == made
    assert pair.asked() == (1, 1)
