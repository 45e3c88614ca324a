"""Many works in one transaction: none is acknowledged before it is durable, and none pays for another's mistake."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from gateway.engine.drivers import AsyncDriver, SyncDriver
from gateway.engine.effects import Flow, transact
from gateway.errors import InvalidRequest, StoreError
from gateway.store.database import Database
from gateway.store.tables import request_numbers
from gateway.store.together import Together

PATIENCE = 30.0


class Counted:
    """A store's transactions, counted; the first ones wait until `go`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.transactions = 0
        self.held = threading.Event()
        self.go = threading.Event()
        self.together = Together(self.transaction)

    def transaction(self, work: Callable[[Connection], Any]) -> Any:
        self.transactions += 1
        self.held.set()
        assert self.go.wait(PATIENCE)
        return self.database.transaction(work)

    def hold(self) -> Future[None]:
        """A first work is under way: what is submitted now waits for it."""
        first = self.together.submit(lambda connection: None)
        assert self.held.wait(PATIENCE)
        return first


@pytest.fixture
def counted(database: Database) -> Iterator[Counted]:
    made = Counted(database)
    yield made
    made.go.set()
    made.together.close()


def put(key: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(insert(request_numbers).values(key=key, last=1))
        return key

    return work


def refuse(connection: Connection) -> None:
    connection.execute(insert(request_numbers).values(key="half", last=1))
    raise InvalidRequest("no")


def keys(database: Database) -> set[str]:
    return database.read(lambda connection: set(connection.scalars(select(request_numbers.c.key))))


def test_what_comes_together_is_committed_once(counted: Counted, database: Database) -> None:
    counted.hold()
    futures = [counted.together.submit(put(f"k{index}")) for index in range(100)]
    assert not any(future.done() for future in futures)
    counted.go.set()
    assert [future.result(PATIENCE) for future in futures] == [f"k{index}" for index in range(100)]
    assert counted.transactions == 2
    assert keys(database) == {f"k{index}" for index in range(100)}


def test_one_transaction_is_not_endless(counted: Counted) -> None:
    counted.hold()
    futures = [counted.together.submit(put(f"k{index}")) for index in range(450)]
    counted.go.set()
    for future in futures:
        future.result(PATIENCE)
    assert counted.transactions == 1 + 3


def test_a_result_is_durable(url: str, database: Database) -> None:
    assert database.together(put("a")).result(PATIENCE) == "a"
    with Database.open(url) as other:
        assert keys(other) == {"a"}


def test_when_one_raises_the_others_succeed(counted: Counted, database: Database) -> None:
    counted.hold()
    good = [counted.together.submit(put(f"k{index}")) for index in range(5)]
    bad = counted.together.submit(refuse)
    twice = counted.together.submit(put("k0"))
    good += [counted.together.submit(put(f"l{index}")) for index in range(5)]
    counted.go.set()
    for future in good:
        future.result(PATIENCE)
    with pytest.raises(InvalidRequest, match="no"):
        bad.result(PATIENCE)
    with pytest.raises(StoreError, match="refused a row"):
        twice.result(PATIENCE)
    assert keys(database) == {f"{letter}{index}" for letter in "kl" for index in range(5)}


def test_a_store_that_cannot_be_used_fails_all_of_them(sqlite_database: Database, tmp_path: Path) -> None:
    counted = Counted(sqlite_database)
    counted.hold()
    futures = [counted.together.submit(put(f"k{index}")) for index in range(5)]
    (tmp_path / "gateway.db").unlink()
    counted.go.set()
    for future in futures:
        with pytest.raises(StoreError, match="deleted while it was open"):
            future.result(PATIENCE)
    counted.together.close()


def test_a_store_that_is_held_is_waited_for_once(database: Database) -> None:
    tried = []

    def held(work: Callable[[Connection], Any]) -> Any:
        tried.append(1)
        if len(tried) == 1:
            return database.transaction(work)  # the works themselves raise
        raise StoreError("another process holds it", retryable=True)

    together = Together(held)
    batch: list[tuple[Callable[[Connection], Any], Future[Any]]] = [(refuse, Future()) for _ in range(4)]
    together._commit(batch)
    for _, future in batch:
        with pytest.raises(StoreError, match="another process holds it"):
            future.result(0)
    assert len(tried) == 2


def test_a_cancelled_work_is_left_out(counted: Counted, database: Database) -> None:
    counted.hold()
    left, done = counted.together.submit(put("left")), counted.together.submit(put("done"))
    assert left.cancel()
    counted.go.set()
    done.result(PATIENCE)
    assert keys(database) == {"done"}


def test_closing_commits_what_waits(counted: Counted, database: Database) -> None:
    counted.hold()
    future = counted.together.submit(put("a"))
    closing = threading.Thread(target=counted.together.close)
    closing.start()
    counted.go.set()
    closing.join(PATIENCE)
    assert future.result(0) == "a"
    with pytest.raises(StoreError, match="closed"):
        counted.together.submit(put("b"))
    assert keys(database) == {"a"}


def test_a_closed_store_takes_none(url: str) -> None:
    database = Database.open(url)
    future = database.together(put("a"))
    database.close()
    assert future.result(0) == "a"
    with pytest.raises(StoreError, match="it is closed"):
        database.together(put("b"))


def test_inside_a_transaction_it_is_refused_at_once(database: Database) -> None:
    def work(connection: Connection) -> None:
        database.together(put("a"))

    with pytest.raises(StoreError, match="inside a transaction"):
        database.transaction(work)


def test_its_thread_ends_with_the_store(url: str) -> None:
    def made() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("gateway-commits")} - before

    before = set(threading.enumerate())
    with Database.open(url) as database:
        database.together(put("a")).result(PATIENCE)
        assert made()
    assert not made()


# Python 3.12 and later warn of a fork beside other threads; the child ends at once.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_the_child_has_a_thread_of_its_own(database: Database) -> None:
    database.together(put("parent")).result(PATIENCE)
    child = os.fork()
    if child == 0:
        try:
            database.together(put("child")).result(PATIENCE)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    database.together(put("parent again")).result(PATIENCE)
    assert keys(database) == {"parent", "child", "parent again"}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_waited_at_a_fork_is_done_by_the_parent_alone(database: Database) -> None:
    """The child has the parent's memory, with the queue in it."""
    inside, go = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        inside.set()
        assert go.wait(PATIENCE)

    holder = threading.Thread(target=database.transaction, args=(hold,))
    holder.start()
    assert inside.wait(PATIENCE)
    futures = [database.together(put(f"k{index}")) for index in range(3)]
    threading.Timer(0.1, go.set).start()  # the fork waits for the transaction
    child = os.fork()
    if child == 0:
        try:
            assert database.together(lambda connection: "own").result(PATIENCE) == "own"
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert [future.result(PATIENCE) for future in futures] == ["k0", "k1", "k2"]
    assert keys(database) == {"k0", "k1", "k2"}
    holder.join(PATIENCE)


def _number(key: str) -> Flow[str]:
    return (yield from transact(put(key), together=True))


def test_both_drivers_share_transactions(url: str) -> None:
    import asyncio

    with Database.open(url) as database:
        transactions = []
        plain = database.transaction
        database._together._transaction = lambda work: (transactions.append(1), plain(work))[1]
        driver = SyncDriver(lambda name: pytest.fail("nothing is sent"), lambda: database)
        threads = [threading.Thread(target=lambda i=i: driver.run(_number(f"s{i}"))) for i in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        driver.close()

        async def many() -> list[str]:
            asynchronous = AsyncDriver(lambda name: pytest.fail("nothing is sent"), lambda: database)
            try:
                return await asyncio.gather(*(asynchronous.run(_number(f"a{i}")) for i in range(32)))
            finally:
                await asynchronous.close()

        before = len(transactions)
        assert asyncio.run(many()) == [f"a{i}" for i in range(32)]
        # The first may have gone alone; the others came while it was committed.
        assert len(transactions) - before <= 4
        assert keys(database) == {f"{letter}{i}" for letter in "sa" for i in range(32)}


def test_a_cancelled_task_does_not_cut_it_short(url: str) -> None:
    import asyncio

    async def cancelled() -> bool:
        with Database.open(url) as database:
            driver = AsyncDriver(lambda name: pytest.fail("nothing is sent"), lambda: database)
            await driver.run(_number("first"))
            task = asyncio.create_task(driver.run(_number("second")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            found = keys(database)
            await driver.close()
            return found == {"first", "second"}

    assert asyncio.run(cancelled())
