"""Rows about the store: what cannot be recorded is not sent, and what was sent is not forgotten."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.store import journal, sqlite
from support.colours import Opened, opened
from support.loopback import Loopback
from support.toy import account
from support.virtual import VirtualClock
from weather.matrix import Case
from weather.playing import Plays, Shopkeeper, Stage, ends, in_child, order, write

PLAYS = Plays()

_NOBODY = 65534
_LARGE = {"note": "x" * 20_000}
"""Metadata that needs further pages."""


def _large(gw: Opened, reference: str = "cart-2") -> Any:
    return gw.orders.create(order(reference, metadata=_LARGE), account="shop")


def _told(case: Case, told: Any) -> str:
    """What a child says of its call is what the row says."""
    assert case.write is not None
    assert case.write.error is not None
    assert isinstance(told, dict), told
    assert (told["error"], told["outcome"]) == (case.write.error.__name__, case.write.outcome)
    return f"{told['message']} — {told['hint']}"


@PLAYS.row("store-read-only")
def read_only(case: Case, stage: Stage) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gateway-read-only-"))  # where others may look too
    store = f"sqlite:///{folder / 'gateway.db'}"
    try:
        with Loopback(app=Shopkeeper()) as server:
            with stage.shop(server, store=store) as gw:
                write(gw)
            (folder / "gateway.db").chmod(0o444)
            folder.chmod(0o555)

            def child() -> Any:
                if os.getuid() == 0:
                    os.setuid(_NOBODY)  # nothing is read-only for root
                with opened("sync", store=store, accounts={"shop": account(server.url)}) as gw:
                    return write(gw, "cart-2").status

            assert "writable" in _told(case, in_child(child))
            folder.chmod(0o755)
            (folder / "gateway.db").chmod(0o644)
            with stage.shop(server, store=store) as gw:
                assert [it.reference for it in gw.orders.list()] == ["cart-1001"]
                assert len(server.requests) == 1
                write(gw, "cart-2")
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def _most_pages(gw: Opened, count: int) -> None:
    with gw.core.database()._connected("") as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={count}")


@PLAYS.row("store-full")
def full(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        write(gw)
        _most_pages(gw, 1)  # SQLite takes what there is as the least
        assert "make room" in str(ends(case.write, lambda: _large(gw)))
        assert len(server.requests) == 1
        assert [it.reference for it in gw.orders.list()] == ["cart-1001"]
        _most_pages(gw, 1_000_000)
        assert _large(gw).status == "pending"


@PLAYS.row("store-file-limit")
def file_limit(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server:
        with stage.shop(server) as gw:
            write(gw)

        def child() -> Any:
            with opened("sync", store=stage.store, accounts={"shop": account(server.url)}) as gw:
                write(gw)
                grown = (stage.folder / "gateway.db-wal").stat().st_size
                resource.setrlimit(resource.RLIMIT_FSIZE, (grown + 5000, resource.RLIM_INFINITY))
                return _large(gw).status

        assert "disk" in _told(case, in_child(child))
        assert len(server.requests) == 1
        with stage.shop(server) as gw:
            assert gw.core.database().check()["ok"]
            assert _large(gw).status == "pending"


@PLAYS.row("store-full-later")
def full_later(case: Case, stage: Stage) -> None:
    keeper = Shopkeeper()
    with Loopback(app=keeper) as server:
        later(
            case,
            stage,
            server,
            breaking=lambda gw: setattr(keeper, "before_answering", lambda: _most_pages(gw, 1)),
            mending=lambda gw: _most_pages(gw, 1_000_000),
        )


def later(
    case: Case,
    stage: Stage,
    server: Loopback,
    breaking: Callable[[Opened], None],
    mending: Callable[[Opened], None],
) -> None:
    """The write is carried out, and its answer cannot be recorded."""
    clock = VirtualClock()
    with stage.shop(server, clock=clock) as gw:
        gw.core.database()
        breaking(gw)
        error = ends(case.write, lambda: write(gw, deadline=3))  # recording it is tried for so long
        assert "carried it out (1)" in str(error)
        mending(gw)
        clock.advance(120)  # nobody else may touch it before the call that sent it must have ended
        again = ends(case.write, lambda: write(gw))
        assert "not sent again" in str(again)
        assert len(server.requests) == 1
        gw.journal.settle("cart-1001", outcome="done", reason="it is there", provider_id="1")
        assert gw.orders.get("cart-1001").provider_id == "1"


@contextlib.contextmanager
def _locked(stage: Stage) -> Iterator[None]:
    """Another process holds the database."""
    words = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(1, flush=True);"
    words += " sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-Sc", words, str(stage.folder / "gateway.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={},
    )
    assert other.stdout is not None
    with other:
        assert other.stdout.read(1) == b"1"
        yield


@PLAYS.row("store-locked")
def locked(case: Case, stage: Stage) -> None:
    stage.monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        write(gw)
        with _locked(stage):
            assert ends(case.write, lambda: write(gw, "cart-2")).retryable
            with stage.shop(server) as another:
                ends(case.write, lambda: write(another, "cart-2"))
        assert len(server.requests) == 1
        write(gw, "cart-2")


@PLAYS.row("store-locked-later")
def locked_later(case: Case, stage: Stage) -> None:
    stage.monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    keeper = Shopkeeper()
    with contextlib.ExitStack() as until, Loopback(app=keeper) as server:
        later(
            case,
            stage,
            server,
            breaking=lambda gw: setattr(keeper, "before_answering", lambda: until.enter_context(_locked(stage))),
            mending=lambda gw: until.close(),
        )


@PLAYS.row("store-newer")
def newer(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server:
        with stage.shop(server) as gw:
            write(gw)
        with contextlib.closing(sqlite3.connect(stage.folder / "gateway.db")) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
        with stage.shop(server) as gw:
            assert "newer" in str(ends(case.write, lambda: write(gw, "cart-2")))
        assert len(server.requests) == 1


def _files(stage: Stage) -> list[Path]:
    return [path for path in stage.folder.glob("gateway.db*") if path.is_file()]


@PLAYS.row("store-deleted")
def deleted(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        write(gw)
        kept = {path: path.read_bytes() for path in _files(stage)}
        for path in kept:
            path.unlink()
        for _ in range(2):
            assert "deleted while it was open" in str(ends(case.write, lambda: write(gw, "cart-2")))
        assert not (stage.folder / "gateway.db").exists()
        assert len(server.requests) == 1
        gw.close()
        for path, content in kept.items():
            path.write_bytes(content)
        with stage.shop(server) as again:
            assert write(again).provider_id == "1"
        assert len(server.requests) == 1


@PLAYS.row("store-replaced")
def replaced(case: Case, stage: Stage) -> None:
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        write(gw)
        backup = stage.folder / "backup"
        source = sqlite3.connect(stage.folder / "gateway.db")
        with contextlib.closing(source), contextlib.closing(sqlite3.connect(backup)) as to:
            source.backup(to)
        backup.replace(stage.folder / "gateway.db")
        assert "replaced while it was open" in str(ends(case.write, lambda: write(gw, "cart-2")))
        assert len(server.requests) == 1


@PLAYS.row("store-deleted-later")
def deleted_later(case: Case, stage: Stage) -> None:
    keeper = Shopkeeper()

    def delete() -> None:
        for path in _files(stage):
            path.unlink()

    with Loopback(app=keeper) as server, stage.shop(server) as gw:
        gw.core.database()
        keeper.before_answering = delete
        assert "carried it out (1)" in str(ends(case.write, lambda: write(gw)))
        assert len(server.requests) == 1


@PLAYS.row("own-mistake")
def own_mistake(case: Case, stage: Stage) -> None:
    finish = journal.finish

    def mistaken(connection: Any, entry: int, state: Any, **more: Any) -> Any:
        if state == "done":
            raise ValueError("nobody thought of this")
        return finish(connection, entry, state, **more)

    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        stage.monkeypatch.setattr(journal, "finish", mistaken)
        error = ends(case.write, lambda: write(gw))
        assert "carried it out (1)" in str(error)
        assert isinstance(error.__cause__, ValueError)
        stage.monkeypatch.undo()
        ends(case.write, lambda: write(gw))
        gw.journal.settle("cart-1001", outcome="done", reason="it is there", provider_id="1")
        assert write(gw).provider_id == "1"
        assert [seen.method for seen in server.requests] == ["POST"]


@PLAYS.row("store-damaged")
def damaged(case: Case, stage: Stage) -> None:
    (stage.folder / "gateway.db").write_bytes(b"no database at all " * 1000)
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        assert "no database" in str(ends(case.write, lambda: write(gw)))
        assert server.requests == []


@PLAYS.row("store-no-folder")
def no_folder(case: Case, stage: Stage) -> None:
    store = f"sqlite:///{stage.folder / 'gone' / 'gateway.db'}"
    with Loopback(app=Shopkeeper()) as server, stage.shop(server, store=store) as gw:
        ends(case.write, lambda: write(gw))
        assert server.requests == []
