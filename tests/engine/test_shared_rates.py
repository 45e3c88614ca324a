"""One key used by several gateways on one store: the limit is of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts import RateLimit, ReadsTickers
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import RateLimited, StoreError
from gateway.store.database import Database
from support.colours import Opened, opened
from support.loopback import Answer, Loopback
from support.toy import account, answers, provider, toy_plugins
from support.virtual import VirtualClock

LIMIT = RateLimit(6, 60)
READ: Callable[[Any], Any] = lambda gw: gw.markets.ticker("BTC/USD", account="shop")  # noqa: E731


@contextmanager
def two(colour: str, url: str, store: str, **settings: Any) -> Iterator[tuple[VirtualClock, Opened, Opened]]:
    """Two gateways, as two processes have them, on one clock."""
    clock = VirtualClock()
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(
                opened(
                    colour,
                    plugins=toy_plugins(provider(rate_limit=LIMIT)),
                    accounts={"shop": account(url, **settings)},
                    store=store,
                    clock=clock,
                )
            )
            for _ in range(2)
        )
        yield clock, one, other


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return str(request.getfixturevalue("postgres"))


def in_background(gw: Opened) -> Any:
    shop = gw.core.account("shop")
    run = Performance(shop, "markets.ticker", gw.core.deadline(30), background=True)
    return gw.run(perform(run, Begun(shop.able(ReadsTickers).get_ticker("BTC/USD"))))


def test_what_one_has_used_the_other_has_not(colour: str, store: str) -> None:
    with Loopback(app=answers) as server, two(colour, server.url, store) as (clock, one, other):
        for _ in range(4):
            READ(one)
        assert other.account("shop").rate_headroom() == 2
        READ(other)
        READ(other)
        for gw in (one, other):
            with pytest.raises(RateLimited, match="nothing was sent") as caught:
                READ(gw)
            assert caught.value.retry_after == 61
            assert gw.account("shop").rate_headroom() == 0
        assert len(server.requests) == 6
        clock.advance(61)
        READ(other)
        assert one.account("shop").rate_headroom() == 5


def test_a_key_that_the_provider_closed_is_closed_for_all(colour: str, store: str) -> None:
    closed = Answer(429, headers={"Retry-After": "40"})
    with Loopback(every=closed) as server, two(colour, server.url, store) as (_, one, other):
        with pytest.raises(RateLimited):
            READ(one)
        with pytest.raises(RateLimited, match="nothing was sent") as caught:
            READ(other)
        assert caught.value.retry_after == 40
        assert other.account("shop").rate_headroom() == 0
        assert len(server.requests) == 1


def test_work_in_the_background_leaves_half_to_the_merchant(colour: str, store: str) -> None:
    with Loopback(app=answers) as server, two(colour, server.url, store) as (clock, one, other):
        for _ in range(3):
            in_background(one)
        with pytest.raises(RateLimited):
            in_background(other)
        for _ in range(3):
            READ(other)
        assert clock.slept == []
        clock.advance(40)
        in_background(one)
        assert sum(clock.slept) == 21
        assert len(server.requests) == 7


def test_without_its_store_a_gateway_keeps_to_the_limit_alone(
    colour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read needs no store, so one that is out of reach does not stop it."""

    def refuse(self: Database, work: Any) -> Any:
        raise StoreError("out of reach", retryable=True)

    with Loopback(app=answers) as server, two(colour, server.url, f"sqlite:///{tmp_path / 'a.db'}") as (_, one, _):
        READ(one)
        monkeypatch.setattr(Database, "transaction", refuse)
        for _ in range(5):
            READ(one)
        assert one.account("shop").rate_headroom() == 0
        with pytest.raises(RateLimited):
            READ(one)
        assert len(server.requests) == 6
