"""The provider's steps for a key that the ring has, and for one that it does not have."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import InvalidRequest, NotFound
from gateway.models import KeyGuide, NewKey
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from ring.ringed import Place

EXCHANGE = {"exchange": {"provider": "emirex", "environment": "sandbox", "auth": {"kind": "ring"}}}
OWN: dict[str, Any] = {"permissions": ["read"], "networks": ["203.0.113.7"]}


@pytest.fixture
def filled(place: Place) -> Place:
    parts = {"public_key": Secret("the-public"), "secret": Secret("the-secret")}
    with place.gateway("sync", EXCHANGE, plugins=load_plugins()) as gw:
        gw.keys.add(NewKey(label="Main1", parts=parts, **OWN), account="exchange", check=False)
    return place


def entered(guide: KeyGuide) -> list[str]:
    return [text for step in guide.steps for text in step.enter.values()]


def test_a_key_that_is_not_in_the_ring_is_not_made_up(colour: str, filled: Place) -> None:
    """What is not known of it would be entered as if it had been asked for: all addresses, every permission."""
    with filled.gateway(colour, EXCHANGE, plugins=load_plugins()) as gw:
        for said, missing in (
            ({}, "permissions and addresses"),
            ({"permissions": ["read"]}, "addresses"),
            ({"networks": ["203.0.113.7"]}, "permissions"),
        ):
            with pytest.raises(
                NotFound, match=f"has no key 'Typo9x': which {missing} it is to have is not known"
            ) as no:
                gw.keys.guide("edit", account="exchange", label="Typo9x", **said)
            assert "gateway keys list" in (no.value.hint or "")
            with pytest.raises(NotFound, match=f"no key was named: which {missing} "):
                gw.keys.guide("edit", account="exchange", **said)
        guide = gw.keys.guide("edit", account="exchange", label="Typo9x", **OWN)
        assert (guide.in_ring, guide.networks, guide.permissions) == (False, ("203.0.113.7/32",), {"read"})
        guide = gw.keys.guide("edit", account="exchange", label="Typo9x", permissions=["read"], networks="any")
        assert (guide.networks, guide.permissions) == (None, {"read"})


def test_what_is_known_of_a_key_of_the_ring(colour: str, filled: Place) -> None:
    with filled.gateway(colour, EXCHANGE, plugins=load_plugins()) as gw:
        guide = gw.keys.guide("edit", account="exchange", label="Main1")
        assert (guide.in_ring, guide.networks, guide.permissions) == (True, ("203.0.113.7/32",), {"read"})
        assert "203.0.113.7" in " ".join(entered(guide))
        wider = gw.keys.guide("edit", account="exchange", label="Main1", networks="any")
        assert (wider.networks, wider.permissions) == (None, {"read"})
        assert "203.0.113.7" not in " ".join(entered(wider))
        with pytest.raises(InvalidRequest):
            gw.keys.guide("edit", account="exchange", label="Main1", networks=["anywhere"])


@pytest.mark.parametrize("action", ["revoke", "delete"])
def test_whether_the_ring_has_the_key_that_is_to_be_ended(action: str, colour: str, filled: Place) -> None:
    """One that it does not have may have been made and not kept, so its steps are told, and that it is not there."""
    with filled.gateway(colour, EXCHANGE, plugins=load_plugins()) as gw:
        assert gw.keys.guide(action, account="exchange", label="Main1").in_ring
        guide = gw.keys.guide(action, account="exchange", label="Typo9x")
        assert not guide.in_ring
        assert guide.steps
        assert not gw.keys.guide("create", account="exchange", label="Main1").in_ring


def test_a_key_of_the_other_environment(colour: str, filled: Place) -> None:
    live = {"exchange": {**EXCHANGE["exchange"], "environment": "live"}}
    with filled.gateway(colour, live, plugins=load_plugins()) as gw:
        for action in ("edit", "revoke"):
            with pytest.raises(InvalidRequest, match="the sandbox environment of emirex"):
                gw.keys.guide(action, account="exchange", label="Main1")
