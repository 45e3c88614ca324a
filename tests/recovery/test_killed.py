"""Processes are killed at every point of taking a callback, processing it, polling, delivering and going on elsewhere.

Afterwards another one is started, and does what is left. Nothing is lost: what was paid is told. Nothing is out of
order, nothing is paid twice, and no two attempts are begun side by side.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gateway.models import OrderRequest
from gateway.testing import faults
from recovery.mortals import MOST_POINTS, Mortals

PAID = ["order.created", "order.paid"]


def test_killed_at_every_point_of_taking_a_callback(tmp_path: Path) -> None:
    """Whatever was answered with 200 is in the inbox; whatever was not, the provider makes again."""
    ends: Counter[tuple[str, int]] = Counter()
    with Mortals(tmp_path) as shop:
        shop.log.touch()
        names = []
        for step in range(MOST_POINTS):
            names.append(f"cart-{step}")
            with shop.gateway() as gateway:
                number = shop.order(gateway, names[-1])
            shop.server.pay("aurpay", number)
            end = shop.run("receive", step=step)
            # Counted before anybody else is there who could take it.
            kept = len(shop.rows("SELECT id FROM callbacks WHERE state = 'waiting'"))
            assert end in ("killed", "ended")
            ends[end, kept] += 1
            if end == "killed":
                assert shop.run("receive") == "ended"
            shop.server.wait_idle()
            made = [one for one in shop.server.callbacks("aurpay").deliveries() if one.order == number]
            assert [one.delivered for one in made] == ([True] if end == "ended" else [False, True])
            assert shop.run("work") == "ended"
            assert shop.rows("SELECT id FROM callbacks WHERE state != 'processed'") == []
            assert shop.rows(f"SELECT status FROM orders WHERE reference = '{names[-1]}'") == [("paid",)]
            if end == "ended":
                break
        assert set(ends) == {("killed", 0), ("killed", 1), ("ended", 1)}, "before and after it was committed, and never"
        told, again = shop.told()
        assert (told, again) == (dict.fromkeys(names, PAID), 0)
        assert shop.happened() == told


def test_killed_at_every_point_of_processing_polling_and_delivering(tmp_path: Path) -> None:
    """A worker, among one order whose callback came, one whose callback never came, and one that is read in a list."""
    with Mortals(tmp_path) as shop:
        with shop.gateway() as gateway:
            called, polled = shop.order(gateway, "called"), shop.order(gateway, "polled")
            deposit = shop.deposit(gateway, "deposit")
        shop.log.touch()
        assert shop.run("work") == "ended"
        assert shop.told()[0] == dict.fromkeys(["called", "polled", "deposit"], PAID[:1])
        shop.server.callbacks("aurpay").faults.add(faults.Suppressed(order=polled))
        shop.server.pay("aurpay", called)
        assert shop.run("receive") == "ended"
        shop.server.pay("aurpay", polled)
        shop.server.pay("aurex", deposit)
        shop.server.advance(60)
        template = shop.template()
        found: Counter[str] = Counter()
        for step in range(MOST_POINTS):
            shop.begin(template)
            end = shop.run("work", step=step)
            assert end in ("killed", "ended"), (step, end)
            states = [state for (state,) in shop.rows("SELECT state FROM callbacks")]
            found.update([f"callback {states}", f"{sum(kinds == PAID for kinds in shop.happened().values())} paid"])
            if end == "killed":
                assert shop.run("work") == "ended", step
            told, again = shop.told()
            assert told == dict.fromkeys(["called", "polled", "deposit"], PAID[1:]), step
            assert again <= 1, "the one call that was under way"
            found["again"] += again
            assert shop.happened() == dict.fromkeys(told, PAID), step
            assert shop.rows("SELECT DISTINCT state FROM callbacks") == [("processed",)]
            assert shop.rows("SELECT * FROM deliveries WHERE state != 'done'") == []
            if end == "ended":
                break
        assert end == "ended"
        # The points reach all that can be.
        assert {"callback ['waiting']", "callback ['taken']", "callback ['processed']"} <= set(found)
        assert {"0 paid", "1 paid", "2 paid", "3 paid"} <= set(found)
        assert found["again"] > 0


def test_killed_at_every_point_of_going_on_elsewhere(tmp_path: Path) -> None:
    """The answer of the first account is lost; the payer pays the one order that he is shown, and that is told."""
    request = OrderRequest(reference="it", price="25.00 USD", pay_with="USDT@tron")
    with Mortals(tmp_path) as shop:
        with shop.gateway() as gateway:
            assert gateway.journal.list() == []
        template = shop.template()
        attempts: Counter[tuple[str, ...]] = Counter()
        for step in range(MOST_POINTS):
            shop.begin(template)
            made = len(shop.aurpay.orders())
            shop.server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
            # Dying inside a transaction leaves what dying before it does.
            end = shop.run("order", step=step, inside=False, request=request)
            assert end in ("killed", "ended"), (step, end)
            shop.server.faults("aurpay").clear()
            under_way = shop.rows("SELECT scope FROM journal WHERE state IN ('intended', 'sent')")
            assert len(under_way) <= 1, "never two begun side by side"
            assert shop.run("work", "order", request=request) == "ended"
            rows = shop.rows("SELECT status, provider_id FROM attempts ORDER BY number")
            live = [number for status, number in rows if status == "pending"]
            assert len(live) == 1
            assert rows[-1][1] == live[0], "the last one"
            attempts[tuple(status for status, _ in rows)] += 1
            # As many as are live or shown as unknown, never more.
            assert 1 <= len(shop.aurpay.orders()) - made <= len(rows)
            shop.server.pay("aurpay", live[0])
            assert shop.run("receive", "work") == "ended"
            shop.server.wait_idle()
            assert shop.told()[0] == {"it": PAID}
            assert shop.happened() == {"it": PAID}
            assert shop.rows("SELECT status FROM orders") == [("paid",)]
            if end == "ended":
                break
        assert end == "ended"
        assert len(attempts) >= 3, attempts
