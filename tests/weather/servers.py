"""Rows about a store on a database server, and about one that was restored."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from flows.world import payout
from gateway.errors import StoreError
from support.loopback import Loopback
from support.postgres import PASSWORD, Line, PostgresServer
from support.virtual import VirtualClock
from weather.matrix import Case
from weather.playing import Plays, Shopkeeper, Stage, ends, write

PLAYS = Plays()


@contextlib.contextmanager
def _line(stage: Stage) -> Iterator[Line]:
    line = Line(stage.server)
    try:
        yield line
    finally:
        line.close()


@PLAYS.row("store-restored")
def restored(case: Case, stage: Stage) -> None:
    with stage.world() as (world, gw):
        gw.store.restored(reason="a volume snapshot")
        error = ends(case.write, lambda: gw.withdrawals.create(payout(), account="shop"))
        assert "no money leaves" in str(error)
        assert world.payouts() == []
        gw.store.accept_restore(reason="compared")
        gw.withdrawals.create(payout(), account="shop")
        assert len(world.payouts()) == 1


@PLAYS.row("server-without-driver")
def without_driver(case: Case, stage: Stage) -> None:
    stage.monkeypatch.setitem(sys.modules, "psycopg", None)
    with Loopback(app=Shopkeeper()) as server, stage.shop(server, store="postgresql://db/shop") as gw:
        assert "crypto-gateway[postgresql]" in str(ends(case.write, lambda: write(gw)))
        assert server.requests == []


@PLAYS.row("server-password")
def password(case: Case, stage: Stage) -> None:
    wrong = stage.server.url(stage.database, password="wrong-pass-word")
    with Loopback(app=Shopkeeper()) as server, stage.shop(server, store=wrong) as gw:
        assert "wrong-pass-word" not in str(ends(case.write, lambda: write(gw)))
        assert server.requests == []


@PLAYS.row("server-down")
def down(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server, store=stage.server.url(stage.database)) as gw:
        write(gw)
        stage.server.stop()
        error = ends(case.write, lambda: write(gw, "cart-2"))
        assert error.retryable
        assert PASSWORD not in str(error)
        stage.server.start()
        assert write(gw, "cart-2").provider_id == "2"
        assert len(server.requests) == 2


@PLAYS.row("server-lost")
def lost(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server, store=stage.server.url(stage.database)) as gw:
        write(gw)
        stage.server.restart()
        assert ends(case.write, lambda: write(gw, "cart-2")).provider_id == "2"
        assert len(server.requests) == 2


@PLAYS.row("server-commit")
def commit(case: Case, stage: Stage) -> None:
    """The line is cut during each commit of a write in turn. One of them says that it leaves now."""
    errors = []
    with _line(stage) as line, Loopback(app=Shopkeeper()) as server:
        for spared in range(20):
            with stage.shop(server, store=line.url(stage.database)) as gw:
                gw.journal.list()
                line.cut, line.spared, line.cuts = "after", spared, 0
                try:
                    write(gw, f"cart-{spared}")
                except StoreError as error:
                    errors.append((error, len(server.requests) - spared))
                line.cut = None
                assert write(gw, f"cart-{spared}").provider_id == str(spared + 1)
                assert len(server.requests) == spared + 1
            if not line.cuts:
                break
    assert spared > 3
    ((error, sent),) = errors
    assert sent == 0

    def again() -> None:
        raise error

    assert "nothing was sent" in str(ends(case.write, again))


@PLAYS.row("server-commit-later")
def commit_later(case: Case, stage: Stage) -> None:
    with _line(stage) as line:
        keeper = Shopkeeper()
        with Loopback(app=keeper) as server, stage.shop(server, store=line.url(stage.database)) as gw:
            gw.journal.list()
            keeper.before_answering = lambda: setattr(line, "cut", "before")
            assert ends(case.write, lambda: write(gw)).provider_id == "1"
            assert line.cuts == 1
            assert [entry.state for entry in gw.journal.show("cart-1001")] == ["done"]
            assert len(server.requests) == 1


@PLAYS.row("server-down-later")
def down_later(case: Case, stage: Stage) -> None:
    keeper, clock = Shopkeeper(), VirtualClock()
    store = stage.server.url(stage.database)
    with Loopback(app=keeper) as server, stage.shop(server, store=store, clock=clock) as gw:
        gw.journal.list()
        keeper.before_answering = stage.server.stop
        assert "carried it out (1)" in str(ends(case.write, lambda: write(gw, deadline=3)))
        stage.server.start()
        clock.advance(120)
        assert "not sent again" in str(ends(case.write, lambda: write(gw)))
        assert len(server.requests) == 1
        gw.journal.settle("cart-1001", outcome="done", reason="it is there", provider_id="1")
        assert gw.orders.get("cart-1001").provider_id == "1"


@PLAYS.row("server-standby")
def standby(case: Case, stage: Stage) -> None:
    primary: PostgresServer = stage.request.getfixturevalue("other_postgres")
    name = primary.create()
    with Loopback(app=Shopkeeper()) as server:
        with stage.shop(server, store=primary.url(name)) as gw:
            write(gw)
        follower = PostgresServer(like=primary)
        try:
            with stage.shop(server, store=follower.url(name)) as gw:
                assert "target_session_attrs" in str(ends(case.write, lambda: write(gw, "cart-2")))
            assert len(server.requests) == 1
        finally:
            follower.remove()
