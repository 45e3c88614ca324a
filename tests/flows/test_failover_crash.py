"""The process is killed at every step of going on at another account; the same call, repeated, ends with one order that
can be paid, and whatever may have been made beside it is known and watched.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.pair import Pair, route
from flows.test_crash import MOST_STEPS, mortals
from flows.world import cart
from gateway.models import Order, OrderException, OrderStatus
from gateway.testing import faults

ROUTES = [route("shop", "backup", "login")]
Breaking = Callable[[Pair], dict[str, Any]]


def refusing_key(pair: Pair) -> dict[str, Any]:
    return {"auth": {"kind": "api-key", "api_key": "wrong-key"}}


def losing(executed: bool) -> Breaking:
    def breaking(pair: Pair) -> dict[str, Any]:
        pair.first.faults("aurpay").add(faults.Drop(executed=executed, method="POST"))
        return {}

    return breaking


CASES: dict[str, Breaking] = {
    "nothing was done": refusing_key,
    "lost and made": losing(True),
    "lost and not made": losing(False),
}


def read(file: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("how", CASES)
def test_killed_at_every_step_of_going_on_elsewhere(tmp_path: Path, how: str) -> None:
    ends: Counter[tuple[str, ...]] = Counter()
    request = json.loads(cart("it").model_dump_json())
    with Pair(tmp_path) as pair, mortals() as children:
        template = tmp_path / "template.db"
        with pair.gateway(store=f"sqlite:///{template}", clock=None) as gw:
            assert gw.journal.list() == []
        step = 0
        while True:
            alive = set()
            # Dying inside a transaction leaves what dying before it does; one case shows that.
            for when in ("before", "inside") if how == "nothing was done" else ("before",):
                file = tmp_path / f"{step}-{when}.db"
                shutil.copy(template, file)
                before = sum(pair.made())
                accounts = pair.accounts(shop=CASES[how](pair))
                end = children.run(
                    {
                        "store": f"sqlite:///{file}",
                        "accounts": accounts,
                        "routes": ROUTES,
                        "action": "routed order",
                        "request": request,
                        "step": step,
                        "when": when,
                    }
                )
                assert end in ("died", "ended"), (step, when, end)
                alive.add(end)
                pair.first.faults("aurpay").clear()
                under_way = read(file, "SELECT scope FROM journal WHERE state IN ('intended', 'sent')")
                assert len(under_way) <= 1, "never two begun side by side"
                with pair.gateway(store=f"sqlite:///{file}", accounts=accounts, routes=ROUTES, clock=None) as gw:
                    order = gw.orders.create(cart("it"))
                    ends[agree(pair, order, sum(pair.made()) - before, file)] += 1
                    assert gw.orders.create(cart("it")) == order
            step += 1
            if alive != {"died"}:
                break
            assert step < MOST_STEPS, "it never ends"
    assert step > 12, "two attempts have more steps than that"
    failed = "failed" if how == "nothing was done" else "unknown"
    # Killed before the first attempt has left, between the two, and while the second was on its way.
    assert {(failed, "live"), (failed, "unknown", "live")} <= set(ends)


def agree(pair: Pair, order: Order, made: int, file: Path) -> tuple[str, ...]:
    """Store and sandboxes agree: one attempt is live; of the others, each failed for certain or is shown as unknown."""
    found = []
    for attempt in order.attempts:
        if OrderException.UNCONFIRMED in attempt.exceptions:
            assert (attempt.status, attempt.provider_id) == (OrderStatus.CREATING, None)
            found.append("unknown")
        elif attempt.status is OrderStatus.FAILED:
            found.append("failed")
        else:
            assert attempt.status is OrderStatus.PENDING
            assert attempt.provider_id in {one.id for one in (*pair.world.aurpay.orders(), *pair.aurpay.orders())}
            found.append("live")
    assert found.count("live") == 1
    assert found[-1] == "live"
    assert 1 <= made <= 1 + found.count("unknown"), "nothing was made that is neither live nor shown as unknown"
    states = {"live": "done", "failed": "rejected", "unknown": "unknown"}
    journal = read(file, "SELECT state FROM journal ORDER BY CAST(scope AS INTEGER)")
    assert [state for (state,) in journal] == [states[one] for one in found]
    watched = read(file, "SELECT number FROM watches WHERE kind = 'order' ORDER BY number")
    assert [number for (number,) in watched] == [
        attempt.number for attempt, one in zip(order.attempts, found, strict=True) if one != "failed"
    ]
    assert [kind for (kind,) in read(file, "SELECT type FROM events")] == ["order.created"]
    return tuple(found)
