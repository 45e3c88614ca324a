"""Rows about threads, tasks, forks, interruptions and deaths."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from gateway.engine.effects import Send
from support.colours import Opened, opened
from support.loopback import Hold, Loopback
from support.toy import account
from support.virtual import VirtualClock
from weather.matrix import Case
from weather.playing import Plays, Shopkeeper, Stage, ends, in_child, order, read, write

PLAYS = Plays()


@PLAYS.row("closed-gateway")
def closed_gateway(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        write(gw)
        gw.close()
        ends(case.read, lambda: read(gw))
        assert "nothing was sent" in str(ends(case.write, lambda: write(gw, "cart-2")))
        assert len(server.requests) == 1


@PLAYS.row("fork")
def fork(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        read(gw)
        write(gw, "before")

        assert in_child(lambda: in_this_process(lambda: all_of_it(gw))) == ["pending", "1"]
        ends(case.read, lambda: read(gw))
        ends(case.write, lambda: write(gw, "in-the-parent"))
        ends(case.write, lambda: write(gw, "in-the-child"))
        # Seen by the server: the child never spoke on the parent's connection.
        assert [seen.connection for seen in server.requests] == [1, 1, 2, 2, 1, 1]
        assert {it.reference for it in gw.orders.list()} == {"before", "in-the-child", "in-the-parent"}


def in_this_process(call: Callable[[], Any]) -> Any:
    """The result; of a coroutine on a loop of this process, because a child cannot go on with its parent's."""
    made = call()
    return asyncio.run(made) if inspect.iscoroutine(made) else made


def all_of_it(gw: Opened) -> Any:
    """A read, a write, and a write that was done before, as the gateway's colour makes them."""
    calls = (
        lambda: gw.raw.markets.ticker("BTC/USD", account="shop"),
        lambda: gw.raw.orders.create(order("in-the-child"), account="shop"),
        lambda: gw.raw.orders.create(order("before"), account="shop"),
    )
    if gw.runner is None:
        _, made, known = (call() for call in calls)
        return [made.status, known.provider_id]

    async def awaited() -> list[Any]:
        _, made, known = [await call() for call in calls]
        return [made.status, known.provider_id]

    return awaited()


@PLAYS.row("other-loop")
def other_loop(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        read(gw)
        ends(case.read, lambda: asyncio.run(gw.raw.markets.ticker("BTC/USD", account="shop")))
        ends(case.write, lambda: asyncio.run(gw.raw.orders.create(order(), account="shop")))
        assert len(server.requests) == 1
        assert write(gw).provider_id == "1"


@PLAYS.row("fork-in-memory")
def fork_in_memory(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server, store="sqlite://") as gw:
        write(gw, "before")
        told = in_child(lambda: in_this_process(lambda: gw.raw.orders.create(order("in-the-child"), account="shop")))
        assert case.write is not None
        assert (told["error"], told["outcome"]) == (case.write.error.__name__, case.write.outcome)  # type: ignore[union-attr]
        assert len(server.requests) == 1
        write(gw, "in-the-parent")


@PLAYS.row("many-at-once")
def many_at_once(case: Case, stage: Stage) -> None:
    count = 2 if stage.colour == "sync" else 100
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        made = gw.together(count, lambda it, index: it.orders.create(order(f"cart-{index}"), account="shop"))
        assert not [error for error in made if isinstance(error, Exception)]
        assert len({it.provider_id for it in made}) == len(server.requests) == count
        seen = gw.together(count, lambda it, index: it.orders.get(f"cart-{index}"))
        assert [it.reference for it in seen] == [f"cart-{index}" for index in range(count)]
        assert len(gw.journal.list(states=["done"], limit=200)) == count
        ends(case.write, lambda: write(gw, "cart-0"))
        assert len(server.requests) == 2 * count


@PLAYS.row("twins")
def twins(case: Case, stage: Stage) -> None:
    count = 2 if stage.colour == "sync" else 100
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        made = gw.together(count, lambda it, index: it.orders.create(order(), account="shop"))
        assert not [error for error in made if isinstance(error, Exception)]
        assert {it.provider_id for it in made} == {"1"}
        assert len(server.requests) == 1
        ends(case.write, lambda: write(gw))
        assert len(server.requests) == 1


@PLAYS.row("interrupted")
def interrupted(case: Case, stage: Stage) -> None:
    with Loopback(every=Hold()) as server, stage.shop(server) as gw:
        if gw.runner is None:
            transport = gw.raw._driver._transport("shop")
            stage.monkeypatch.setattr(transport, "send", _pressed)
            with pytest.raises(KeyboardInterrupt):
                write(gw)
        else:

            async def cancelled() -> None:
                task = asyncio.ensure_future(gw.raw.orders.create(order(), account="shop"))
                await asyncio.to_thread(server.wait_for, 1)
                task.cancel()
                await task

            with pytest.raises(asyncio.CancelledError):
                gw.runner.run(cancelled())
        stage.monkeypatch.undo()
        sent = len(server.requests)
        assert "interrupted" in str(ends(case.write, lambda: write(gw)))
        assert len(server.requests) == sent
        assert gw.orders.get("cart-1001", refresh=False).exceptions == {"unconfirmed"}


def _pressed(request: Any, timeout: float) -> Any:
    raise KeyboardInterrupt


def dying(stage: Stage, server: Loopback, dies: Callable[[str, bool], bool]) -> None:
    """A process begins the write, and dies when the journal's state and whether it was sent say so."""

    def child() -> str:
        with opened("sync", store=stage.store, accounts={"shop": account(server.url)}) as gw:
            gw.core.database()
            driver = gw.raw._driver
            carry_out, sent = driver._carry_out, False

            def watched(effect: Any) -> Any:
                nonlocal sent
                if dies(_state(stage), sent):
                    os._exit(0)
                value = carry_out(effect)
                sent = sent or isinstance(effect, Send)
                return value

            driver._carry_out = watched
            return str(write(gw).status)

    assert in_child(child) is None, "it lived"


def _state(stage: Stage) -> str:
    with contextlib.closing(sqlite3.connect(stage.folder / "gateway.db")) as connection:
        found = connection.execute("SELECT state FROM journal").fetchone()
    return found[0] if found else ""


@PLAYS.row("died-before-sending")
def died_before_sending(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server:
        dying(stage, server, lambda state, sent: state == "intended")
        assert server.requests == []
        with stage.shop(server) as gw:
            assert ends(case.write, lambda: write(gw)).provider_id == "1"
        assert len(server.requests) == 1


@PLAYS.row("died-after-sending")
def died_after_sending(case: Case, stage: Stage) -> None:
    for dies in (lambda state, sent: state == "sent", lambda state, sent: sent):
        with Loopback(app=Shopkeeper()) as server:
            dying(stage, server, dies)
            sent = len(server.requests)
            with stage.shop(server, clock=VirtualClock()) as gw:
                for _ in range(2):
                    ends(case.write, lambda: write(gw))
                assert len(server.requests) == sent
                assert [entry.state for entry in gw.journal.list()] == ["unknown"]
                gw.journal.settle("cart-1001", outcome="failed", reason="it is not there")
                assert write(gw, "cart-2").status == "pending"
        for file in stage.folder.glob("gateway.db*"):
            if file.is_file():
                file.unlink()
