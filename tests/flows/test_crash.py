"""The process is killed at every step of a write; afterwards nothing is lost and nothing was sent twice."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.world import World, cart, invoice, top_up
from gateway.errors import Conflict, OutcomeUnknown
from gateway.models import OrderException, OrderStatus, WithdrawalRequest, WithdrawalStatus
from support.colours import Opened
from support.postgres import PostgresServer

Stores = Callable[[], AbstractContextManager[str]]

CHILD = Path(__file__).parent / "crash_child.py"
MOST_STEPS = 40


class Mortals:
    """Runs jobs in processes that die at a step."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, job: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def mortals() -> Iterator[Mortals]:
    with subprocess.Popen(
        [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Mortals(process)


@dataclass
class Case:
    """One kind of write. `done` counts what the sandbox has carried out; `evidence` is its number of the last one."""

    action: str
    account: str
    prepare: Callable[[World, Opened], dict[str, Any]]
    done: Callable[[World], int]
    repeat: Callable[[Opened, dict[str, Any]], Any]
    evidence: Callable[[World], str | None]


def payouts(world: World) -> int:
    return len(world.payouts())


def orders(world: World) -> int:
    return len(world.aurpay.orders())


def top_ups(world: World) -> int:
    return [one["kind"] for one in world.aurex.ledger()["movements"]].count("topup")


def newest_order(world: World) -> str:
    return world.aurpay.orders()[-1].id


def prepared_renewal(world: World, gw: Opened) -> dict[str, Any]:
    order = gw.orders.create(cart("it"), account="shop")
    world.server.expire("aurpay", order.provider_id)
    return {"reference": "it"}


def prepared_top_up(world: World, gw: Opened) -> dict[str, Any]:
    return json.loads(top_up(world.customer_with_card(gw), "it", "10 USD").model_dump_json())


def order_request(world: World, gw: Opened) -> dict[str, Any]:
    return json.loads(cart("it").model_dump_json())


def payout_request(world: World, gw: Opened) -> dict[str, Any]:
    """An invoice is paid once at a provider, so every run gets its own; see `fresh`."""
    return {"reference": "it", "amount": "0.0001 BTC@lightning", "to": {"kind": "lightning", "invoice": ""}}


def fresh(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("to", {}).get("kind") == "lightning":
        return {**request, "to": {"kind": "lightning", "invoice": invoice("0.0001")}}
    return request


def create_order(gw: Opened, request: dict[str, Any]) -> Any:
    return gw.orders.create(cart("it"), account="shop")


def renew_order(gw: Opened, request: dict[str, Any]) -> Any:
    """What a person does who does not know that the renewal was begun: look, and renew if it is still to be done."""
    order = gw.orders.get("it")
    if len(order.attempts) == 1:
        return gw.orders.renew("it", account="shop")
    return gw.orders.create(cart("it"), account="shop")


def pay_out(gw: Opened, request: dict[str, Any]) -> Any:
    return gw.withdrawals.create(WithdrawalRequest(**request))


CASES = {
    "order": Case("order", "shop", order_request, orders, create_order, newest_order),
    "renewal": Case("renewal", "shop", prepared_renewal, orders, renew_order, newest_order),
    "payout": Case("payout", "shop", payout_request, payouts, pay_out, lambda world: None),
    "top-up": Case("payout", "cards", prepared_top_up, top_ups, pay_out, lambda world: None),
}


@pytest.fixture
def fresh_store(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """A context with the URL of a store in which there is what the first one was given, and nothing else."""
    template, numbers = tmp_path / "template.db", itertools.count()

    @contextmanager
    def copied() -> Iterator[str]:
        file = tmp_path / f"{next(numbers)}.db"
        if template.exists():
            shutil.copy(template, file)
        yield f"sqlite:///{file if template.exists() else template}"

    @contextmanager
    def emptied() -> Iterator[str]:
        prepared = server.take()
        yield server.url(prepared.name)
        server.give_back(prepared)

    if request.param == "sqlite":
        return copied
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return emptied


@pytest.mark.parametrize("lose_the_answer", [False, True], ids=["answered", "answer-lost"])
@pytest.mark.parametrize(
    ("kind", "fresh_store"),
    # The others begin with something in the store, which has to be copied for each step.
    [*((kind, "sqlite") for kind in CASES), ("order", "postgresql"), ("payout", "postgresql")],
    indirect=["fresh_store"],
)
def test_killed_at_every_step(tmp_path: Path, kind: str, lose_the_answer: bool, fresh_store: Stores) -> None:
    case = CASES[kind]
    ends: Counter[str] = Counter()
    with World(tmp_path, rate_limit=False) as world, mortals() as children:
        with fresh_store() as store, world.gateway(store=store) as gw:
            request = case.prepare(world, gw)
            assert gw.journal.list(states=["sent", "unknown"]) == []
        routes = [{"operation": "withdrawals.create", "accounts": [case.account]}]
        step = 0
        while True:
            alive = set()
            for when in ("before",) if lose_the_answer else ("before", "inside"):
                given = fresh(request)
                before = case.done(world)
                if lose_the_answer:
                    world.lose_answer("aurex" if case.account == "cards" else "aurpay")
                with fresh_store() as store:
                    job = {
                        "store": store,
                        "accounts": world.accounts(),
                        "action": case.action,
                        "account": case.account,
                        "request": given,
                        "step": step,
                        "when": when,
                    }
                    end = children.run(job)
                    for provider in ("aurpay", "aurex"):
                        world.server.faults(provider).clear()
                    assert end in ("died", "refused" if lose_the_answer else "ended"), (step, when, end)
                    alive.add(end)
                    with world.gateway(store=store, routes=routes) as gw:
                        ends[after_the_death(case, world, gw, given, before)] += 1
            step += 1
            if alive != {"died"}:
                break
            assert step < MOST_STEPS, "it never ends"
    assert step > 5
    # The steps reach all that can be: not sent yet, sent or not and nobody knows, and done.
    assert set(ends) >= {"sent by the repetition", "unknown and done", "unknown and not done"}
    assert ("recorded" in ends) is not lose_the_answer


def after_the_death(case: Case, world: World, gw: Opened, request: dict[str, Any], before: int) -> str:
    """What is found afterwards, in words. Store and sandbox agree in the end, and nothing was done twice."""
    did = case.done(world) - before
    assert did in (0, 1)
    try:
        case.repeat(gw, request)
    except OutcomeUnknown:
        assert case.done(world) - before == did, "what is unknown is not sent again"
        found = "unknown and done" if did else "unknown and not done"
        settle(case, world, gw, did)
    else:
        found = "recorded" if did else "sent by the repetition"
        assert case.done(world) - before == 1
    agree(case, world, gw, case.done(world) - before)
    assert gw.journal.list(states=["intended", "sent", "unknown"]) == []
    return found


def settle(case: Case, world: World, gw: Opened, did: int) -> None:
    if case.action in ("order", "renewal"):
        assert OrderException.UNCONFIRMED in gw.orders.get("it").exceptions
    else:
        assert gw.withdrawals.get("it").status is WithdrawalStatus.UNCONFIRMED
    number = {"provider_id": case.evidence(world)} if did and case.evidence(world) else {}
    gw.journal.settle("it", outcome="done" if did else "failed", reason="looked it up", **number)


def agree(case: Case, world: World, gw: Opened, did: int) -> None:
    """The store knows exactly what the sandbox has carried out."""
    if case.action in ("order", "renewal"):
        order = gw.orders.get("it")
        assert order.attempts[-1].provider_id == (newest_order(world) if did else None)
        assert order.attempts[-1].status is (OrderStatus.PENDING if did else OrderStatus.FAILED)
        assert len(order.attempts) == (1 if case.action == "order" else 2)
        assert order.exceptions == frozenset()
        if not did:
            assert gw.orders.renew("it", account="shop").status is OrderStatus.PENDING
        else:
            with pytest.raises(Conflict):
                gw.orders.renew("it")
    else:
        (known,) = gw.withdrawals.list()
        gone = known.status is not WithdrawalStatus.FAILED
        assert gone is bool(did)
        if case.account == "shop":
            paid = [one for one in world.payouts() if one["destination"] == str(known.to)]
            assert len(paid) == did
