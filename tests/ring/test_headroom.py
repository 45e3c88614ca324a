"""Several keys with limits of their own: which has the most free, and how they multiply what may be sent."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import RateLimit
from gateway.engine.rates import Headrooms, RateWindow
from gateway.errors import RateLimited
from gateway.models import CustomerRequest, NewKey
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway.testing import SandboxServer
from gateway_aurex.sandbox import AurexSandbox
from ring.ringed import Place, Service, cart, new
from support.colours import Opened
from support.loopback import Answer, Loopback, Play, Seen
from support.toy import answers, provider, toy_plugins
from support.virtual import VirtualClock

# Against a model

steps = st.one_of(
    st.tuples(st.just("take"), st.integers(0, 3), st.integers(0, 20)),
    st.tuples(st.just("close"), st.integers(0, 3), st.integers(1, 90)),
    st.tuples(st.just("pass"), st.just(0), st.integers(1, 40)),
    st.tuples(st.just("watch"), st.just(0), st.just(0)),
)


class Model:
    """One key: when it is used, and when it was told to be closed until when."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self.moments: list[float] = []
        self.closings: list[float] = []

    def free(self, now: float) -> int:
        used = sum(1 for moment in self.moments if moment + self.limit.seconds > now)
        return self.limit.requests - used - 2 * self.limit.requests * sum(1 for until in self.closings if until > now)

    def watched_anew(self) -> None:
        """A window remembers no more than its limit, and of the closings the last to end."""
        self.moments = self.moments[-self.limit.requests :]
        self.closings = [max(self.closings)] if self.closings else []


@settings(max_examples=150)
@given(
    limits=st.lists(st.builds(RateLimit, st.integers(1, 6), st.sampled_from([30, 60])), min_size=1, max_size=4),
    does=st.lists(steps, max_size=40),
)
def test_the_one_with_the_most_free(limits: list[RateLimit], does: list[tuple[str, int, int]]) -> None:
    now = 1000.0
    windows, models = [RateWindow(limit) for limit in limits], [Model(limit) for limit in limits]
    rooms = Headrooms(windows, now)
    for what, number, amount in does:
        place = number % len(limits)
        if what == "take":
            windows[place].note(now + amount)
            models[place].moments.append(now + amount)
        elif what == "close":
            windows[place].close_until(now + amount)
            models[place].closings.append(now + amount)
        elif what == "pass":
            now += amount
        else:
            rooms = Headrooms(windows, now)
            for model in models:
                model.watched_anew()
        free = [model.free(now) for model in models]
        assert rooms.most(now) == free.index(max(free))
        order = rooms.ordered(now)
        assert sorted(order) == list(range(len(limits)))
        assert [free[place] for place in order] == sorted(free, reverse=True)


@settings(max_examples=100)
@given(
    does=st.lists(
        st.one_of(
            st.tuples(st.just("reserve"), st.sampled_from([0, 5, 1000])),
            st.tuples(st.just("pass"), st.integers(1, 40)),
            st.tuples(st.just("close"), st.integers(1, 90)),
        ),
        max_size=60,
    )
)
def test_a_window_is_never_over_its_limit(does: list[tuple[str, int]]) -> None:
    now, window, sent, closed = 1000.0, RateWindow(RateLimit(3, 60)), list[float](), -math.inf
    for what, amount in does:
        if what == "pass":
            now += amount
        elif what == "close":
            window.close_until(now + amount)
            closed = max(closed, now + amount)
        else:
            free, wait = window.reserve(now, amount)
            first = max(now, closed, sent[-3] + 60 if len(sent) >= 3 else now)
            assert wait == first - now
            assert free == (wait == 0 or wait < amount)
            if free:
                sent.append(now + wait)
        assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[3:], strict=False))


def test_it_is_counted_well_by_many_threads() -> None:
    windows = [RateWindow(RateLimit(1000, 60)) for _ in range(4)]
    rooms = Headrooms(windows, 0.0)

    def take() -> None:
        for _ in range(200):
            windows[rooms.most(0.0)].note(0.0)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    left = [window.headroom(0.0) or 0 for window in windows]
    assert sum(left) == 4000 - 800
    assert max(left) - min(left) <= 4, "those that chose at the same moment may have chosen the same"
    assert [windows[place].headroom(0.0) for place in rooms.ordered(0.0)] == sorted(left, reverse=True)
    assert rooms.most(60.0) == 0, "all are free again"


# Aurex


class Aurex:
    """Its sandbox, which counts 60 a minute for each key, and gateways that share its clock."""

    def __init__(self, place: Place, colour: str, keys: int, gateways: int = 1) -> None:
        self.clock = VirtualClock()
        self.secrets = [f"aurex-key-{number}" for number in range(keys)]
        self.sandbox = AurexSandbox(keys=self.secrets, monotonic=self.clock.monotonic)
        self._place, self._colour, self._gateways = place, colour, gateways
        self._stack = ExitStack()
        self.gateways: list[Opened] = []

    def __enter__(self) -> Aurex:
        self.server = self._stack.enter_context(SandboxServer([self.sandbox]))
        account = {**self.server.account("aurex"), "auth": {"kind": "ring"}}
        for _ in range(self._gateways):
            self.gateways.append(
                self._stack.enter_context(
                    self._place.gateway(self._colour, {"cards": account}, clock=self.clock, plugins=load_plugins())
                )
            )
        first = self.gateways[0]
        for number, secret in enumerate(self.secrets):
            key = NewKey(label=f"key-{number}", parts={"api_key": Secret(secret)})
            first.keys.add(key, account="cards", check=False)
        first.customers.create(CustomerRequest(reference="c1", first_name="A", last_name="B"), account="cards")
        self.clock.advance(61)
        first.wallets.list(account="cards", customer="c1")
        self.clock.advance(61)
        return self

    def __exit__(self, *ended: object) -> None:
        self._stack.close()

    def read(self, gateway: Any, **more: Any) -> Any:
        return gateway.wallets.list(account="cards", customer="c1", **more)

    @property
    def limited(self) -> int:
        """How often the sandbox said that it was too much."""
        return sum(record.status == 429 for record in self.server.requests["aurex"])

    def used(self) -> list[int]:
        """How many calls of the last minute the sandbox has counted for each key."""
        return [len(key.used) for key in self.sandbox._keys.values()]


@pytest.mark.parametrize("keys, colour", [(1, "sync"), (3, "sync"), (2, "async")])
def test_keys_multiply_what_may_be_sent(keys: int, colour: str, place: Place) -> None:
    with Aurex(place, colour, keys) as aurex:
        (gw,) = aurex.gateways
        for _ in range(60 * keys):
            aurex.read(gw)
        assert aurex.clock.slept == []
        assert aurex.used() == [60] * keys
        with pytest.raises(RateLimited, match="nothing was sent") as caught:
            aurex.read(gw)
        assert caught.value.retry_after == 61
        # One that may wait does, as long as it has to and no longer; then all are free again.
        aurex.clock.advance(20)
        aurex.read(gw, deadline=100)
        assert sum(aurex.clock.slept) == 41
        for _ in range(60 * keys - 1):
            aurex.read(gw)
        assert sum(aurex.clock.slept) == 41
        assert aurex.limited == 0


def test_calls_at_once_share_the_keys(colour: str, place: Place) -> None:
    with Aurex(place, colour, 2) as aurex:
        (gw,) = aurex.gateways

        def read(gateway: Any, index: int) -> Any:
            found = gateway.wallets.list(account="cards", customer="c1")
            return _collected(found) if colour == "async" else list(found)

        results = gw.together(140, read)
        failed = [result for result in results if isinstance(result, Exception)]
        assert len(failed) == 20
        assert {type(error) for error in failed} == {RateLimited}
        assert aurex.used() == [60, 60]
        assert aurex.limited == 0


async def _collected(items: Any) -> list[Any]:
    return [item async for item in items]


def test_two_gateways_share_the_keys(colour: str, any_place: Place) -> None:
    with Aurex(any_place, colour, 2, gateways=2) as aurex:
        one, other = aurex.gateways
        for _ in range(50):
            aurex.read(one)
        for _ in range(70):
            aurex.read(other)
        for gw in (one, other):
            with pytest.raises(RateLimited, match="nothing was sent"):
                aurex.read(gw)
        assert aurex.used() == [60, 60]
        assert aurex.limited == 0
        assert one.account("cards").rate_headroom() == other.account("cards").rate_headroom() == 0
        aurex.clock.advance(61)
        assert other.account("cards").rate_headroom() == 120


# One key closed by the provider

LIMIT = RateLimit(6, 60)


class Closing(Service):
    """A service that closes one key for 40 seconds."""

    def __init__(self, *keys: str) -> None:
        super().__init__(*keys)
        self.closed: set[str] = set()
        self.said: list[str] = []

    def __call__(self, seen: Seen) -> Answer:
        key = seen.headers.get("x-key", "")
        if key in self.closed:
            self.said.append(key)
            return Answer(429, headers={"Retry-After": "40"})
        return super().__call__(seen)


@contextmanager
def closing(place: Place, colour: str, gateways: int = 1) -> Iterator[tuple[Closing, VirtualClock, list[Opened]]]:
    service, clock = Closing("secret-key1", "secret-key2"), VirtualClock()
    with Loopback(app=service) as server, ExitStack() as stack:
        made = [
            stack.enter_context(
                place.gateway(colour, server.url, clock=clock, plugins=toy_plugins(provider(rate_limit=LIMIT)))
            )
            for _ in range(gateways)
        ]
        for label in ("key1", "key2"):
            made[0].keys.add(new(label), account="shop", check=False)
        yield service, clock, made


def verify(gw: Any) -> None:
    gw.keys.verify(account="shop")


def test_a_429_closes_one_key(colour: str, any_place: Place) -> None:
    with closing(any_place, colour, 2) as (service, clock, (one, other)):
        service.closed.add("secret-key1")
        verify(one)
        assert service.said == ["secret-key1"]
        assert service.keys_used() == ["secret-key2"]
        assert clock.slept == [], "the other key is free, so nobody waits"
        for _ in range(3):
            verify(one)
        for _ in range(2):
            verify(other)
        assert (service.said, Counter(service.keys_used())) == (["secret-key1"], {"secret-key2": 6})
        with pytest.raises(RateLimited) as caught:
            verify(other)
        assert caught.value.retry_after == 40
        service.closed.clear()
        clock.advance(40)
        for gw in (one, other, one, other, one):
            verify(gw)
        assert Counter(service.keys_used()) == {"secret-key1": 5, "secret-key2": 6}
        assert clock.slept == []


def test_a_429_for_every_key_is_told_after_each_was_tried(colour: str, place: Place) -> None:
    with closing(place, colour) as (service, clock, (gw,)):
        service.closed |= {"secret-key1", "secret-key2"}
        with pytest.raises(RateLimited) as caught:
            verify(gw)
        assert caught.value.retry_after == 40
        assert sorted(service.said) == ["secret-key1", "secret-key2"]
        assert clock.slept == []
        with pytest.raises(RateLimited):
            gw.keys.verify(account="shop", deadline=60)
        assert clock.slept == [40], "it waited for them, and no second time"
        assert Counter(service.said) == {"secret-key1": 2, "secret-key2": 2}


def test_a_write_that_was_limited_is_made_once_with_the_other_key(colour: str, place: Place) -> None:
    with closing(place, colour) as (service, clock, (gw,)):
        service.closed.add("secret-key1")
        assert gw.orders.create(cart("c-1"), account="shop").provider_id == "1"
        assert dict(service.written) == {"c-1": 1}
        assert (service.said, service.keys_used(), clock.slept) == (["secret-key1"], ["secret-key2"], [])


def test_an_unavailable_service_is_no_closed_key(colour: str, place: Place) -> None:
    """503 says that the service rests, whichever key asks."""
    plays: deque[Play] = deque([Answer(503, headers={"Retry-After": "7"})])
    clock = VirtualClock()
    plugins = toy_plugins(provider(rate_limit=LIMIT))
    with Loopback(app=answers) as server, place.gateway(colour, server.url, clock=clock, plugins=plugins) as gw:
        for label in ("key1", "key2"):
            gw.keys.add(new(label), account="shop", check=False)
        server.plan(*plays)
        verify(gw)
        assert clock.slept == [7]
