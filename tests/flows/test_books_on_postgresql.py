"""Failover and reconciling on a PostgreSQL server, where many processes may do at once what SQLite does in turn."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.pair import Pair, route
from flows.world import cart
from gateway.models import FindingKind, OrderException, OrderStatus
from gateway.testing import faults

TWIN = Path(__file__).parent / "twin.py"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path) as made:
        yield made


def test_processes_at_once_go_on_with_one_order(pair: Pair, postgres: str) -> None:
    pair.first.faults("aurpay").add(faults.Status(status=500, executed=True, method="POST"))
    settings = json.dumps({"accounts": pair.accounts(), "store": postgres, "routes": [route("shop", "backup")]})
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


def test_accounts_rest_for_all_who_call_at_once(pair: Pair, postgres: str) -> None:
    pair.first.faults("aurpay").add(faults.Drop(executed=False, method="POST", times=100))
    with pair.gateway(store=postgres, clock=None, failover={"failures": 3, "cool_down": "10m"}) as gw:
        orders = gw.together(8, lambda gateway, index: gateway.orders.create(cart(f"cart-{index}")))
        assert [order for order in orders if isinstance(order, Exception)] == []
        assert {order.account for order in orders} == {"backup"}
        asked = pair.asked()[0]
        assert gw.orders.create(cart("later")).account == "backup"
        assert pair.asked()[0] == asked, "it rests"
        assert gw.orders.explain("later")[0].verdict == "skipped"


def test_books_are_compared_and_repaired(pair: Pair, postgres: str) -> None:
    with pair.gateway(store=postgres, clock=None) as gw:
        order = gw.orders.create(cart())
        pair.world.lose_answer()
        assert gw.orders.create(cart("lost")).exceptions == {OrderException.UNCONFIRMED}
        pair.first.pay("aurpay", order.provider_id)
        found = gw.reconcile(account="shop", since=datetime.now(UTC) - timedelta(hours=1), repair=True)
        assert [(one.kind, one.reference, one.repaired) for one in found.findings] == [
            (FindingKind.PAID_THERE, "cart-1001", True),
            (FindingKind.UNKNOWN_HERE, None, False),
            (FindingKind.UNCONFIRMED, "lost", False),
        ]
        assert len(found.findings[2].matches) == 1
        assert gw.orders.get("cart-1001", refresh=False).status is OrderStatus.PAID
        assert gw.reconciled(account="shop") == found
