"""One at a time, in one process and over many."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreError
from gateway.store import lanes as module
from gateway.store.database import Database
from store.samples import children, open_files


@pytest.fixture(params=["file", "memory", "server"])
def store(request: pytest.FixtureRequest) -> Iterator[Database]:
    names = {"file": "sqlite_url", "server": "postgres"}
    url = request.getfixturevalue(names[request.param]) if request.param in names else "sqlite://"
    with Database.open(url) as database:
        yield database


class TestOneProcess:
    def test_one_at_a_time(self, store: Database) -> None:
        token = store.enter_lane("payouts", 0)
        assert store.try_lane("payouts") is None
        with pytest.raises(StoreError, match="'payouts' for longer than 0 s; nothing was done") as caught:
            store.enter_lane("payouts", 0)
        assert caught.value.retryable
        store.leave_lane(token)
        assert store.try_lane("payouts") is not None

    def test_lanes_do_not_touch(self, store: Database) -> None:
        store.enter_lane("a", 0)
        store.enter_lane("b", 0)
        store.enter_lane("../a/\0", 0)

    def test_leaving_twice_does_not_take_it_from_the_next(self, store: Database) -> None:
        token = store.enter_lane("a", 0)
        store.leave_lane(token)
        assert store.try_lane("a") is not None
        store.leave_lane(token)
        assert store.try_lane("a") is None

    def test_transactions_go_on_meanwhile(self, store: Database) -> None:
        store.enter_lane("a", 0)
        assert store.transaction(lambda connection: True)

    def test_waiting_until_it_is_free(self, store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """The waiting is done by sleeping; whoever holds the lane leaves it during the third sleep."""
        token = store.enter_lane("a", 0)
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                store.leave_lane(token)

        monkeypatch.setattr(module.time, "sleep", sleep)
        assert store.enter_lane("a", 60).name == "a"
        assert slept == [0.002, 0.004, 0.008]

    def test_many_threads(self, store: Database) -> None:
        inside: list[int] = []
        most: list[int] = []

        def work() -> None:
            for _ in range(10):
                token = store.enter_lane("a", 30)
                inside.append(1)
                most.append(len(inside))
                inside.pop()
                store.leave_lane(token)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 60

    def test_it_may_be_left_from_another_thread(self, store: Database) -> None:
        token = store.enter_lane("a", 0)
        thread = threading.Thread(target=store.leave_lane, args=(token,))
        thread.start()
        thread.join()
        assert store.try_lane("a") is not None


class TestProcesses:
    def test_a_lane_is_held_over_processes_and_freed_by_kill(self, database: Database, url: str) -> None:
        with children(1, "lane", url, "payouts") as (child,):
            child.go()
            assert child.says() == "in"
            assert database.try_lane("payouts") is None
            child.kill()
            database.leave_lane(database.enter_lane("payouts", 20))

    def test_the_next_process_gets_it_when_it_is_left(self, database: Database, url: str) -> None:
        with children(2, "lane", url, "payouts") as (first, second):
            first.go()
            assert first.says() == "in"
            second.go()
            first.go()
            assert second.says() == "in"
            assert database.try_lane("payouts") is None


class TestFiles:
    def test_closing_the_store_leaves_its_lanes(
        self, sqlite_database: Database, sqlite_url: str, tmp_path: Path
    ) -> None:
        token = sqlite_database.enter_lane("a", 0)
        sqlite_database.close()
        sqlite_database.leave_lane(token)
        assert open_files(tmp_path) == {}
        with Database.open(sqlite_url) as again:
            assert again.try_lane("a") is not None

    def test_no_name_is_seen_and_nothing_stays(self, sqlite_database: Database, tmp_path: Path) -> None:
        folder = tmp_path / "gateway.db-lanes"
        token = sqlite_database.enter_lane("shop/secret", 0)
        (held,) = folder.iterdir()
        assert "shop" not in held.name
        assert held.stat().st_mode & 0o777 == 0o600
        sqlite_database.leave_lane(token)
        assert list(folder.iterdir()) == []

    def test_a_file_that_its_last_holder_removed_guards_nothing(
        self, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between our opening the file and locking it, the holder leaves: our lock is on a file without a name."""
        flock, token = fcntl.flock, sqlite_database.enter_lane("a", 0)
        locked: list[int] = []

        def slow(descriptor: int, operation: int) -> None:
            if not locked and operation & fcntl.LOCK_EX:
                locked.append(descriptor)
                sqlite_database.leave_lane(token)
            flock(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", slow)
        assert sqlite_database.try_lane("a") is not None
        assert locked
        assert sqlite_database.try_lane("a") is None

    def test_nor_when_the_next_holder_has_made_another(
        self, sqlite_database: Database, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flock, token = fcntl.flock, sqlite_database.enter_lane("a", 0)
        others: list[object] = []

        def slow(descriptor: int, operation: int) -> None:
            monkeypatch.setattr(fcntl, "flock", flock)
            sqlite_database.leave_lane(token)
            others.append(sqlite_database.try_lane("a"))
            flock(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", slow)
        assert sqlite_database.try_lane("a") is None
        assert others
        assert others[0] is not None

    def test_a_file_that_cannot_be_removed_does_not_keep_the_lane(
        self, sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = sqlite_database.enter_lane("a", 0)
        (descriptor,) = open_files(tmp_path / "gateway.db-lanes").values()
        copy = os.dup(descriptor)  # as a child process may have one

        def refuse(self: Path, missing_ok: bool = False) -> None:
            raise PermissionError(1, "no")

        monkeypatch.setattr(Path, "unlink", refuse)
        sqlite_database.leave_lane(token)
        assert sqlite_database.try_lane("a") is not None
        os.close(copy)

    @pytest.mark.parametrize("where", ["mkdir", "flock"])
    def test_a_folder_that_cannot_be_used(
        self, sqlite_database: Database, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise OSError(37, "No locks available")

        monkeypatch.setattr(*((Path, "mkdir") if where == "mkdir" else (fcntl, "flock")), refuse)
        with pytest.raises(StoreError, match=r"gateway\.db-lanes cannot be used: No locks available.*writable"):
            sqlite_database.try_lane("a")
        assert open_files(tmp_path / "gateway.db-lanes") == {}
