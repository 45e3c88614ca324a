"""What holds for every store: transactions, lanes that end with it, forks."""

from __future__ import annotations

import subprocess
import threading

import pytest
from sqlalchemy import Connection, insert, text

from gateway.errors import GatewayError, StoreError
from gateway.store.database import Database
from gateway.store.tables import moves, request_numbers
from store.samples import NOW, forked, make_order


def count(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM request_numbers")).scalar_one()


def put(connection: Connection, key: str = "a") -> None:
    connection.execute(insert(request_numbers).values(key=key, last=1))


class TestTransactions:
    def test_the_result_comes_back(self, database: Database) -> None:
        assert database.transaction(lambda connection: "result") == "result"

    @pytest.mark.parametrize("error", [GatewayError("no"), KeyboardInterrupt(), ValueError("no")])
    def test_what_raises_leaves_nothing(self, database: Database, error: BaseException) -> None:
        def work(connection: Connection) -> None:
            put(connection)
            raise error

        with pytest.raises(type(error)) as caught:
            database.transaction(work)
        assert caught.value is error
        assert database.transaction(count) == 0

    def test_threads_take_turns(self, database: Database) -> None:
        """Each reads and writes; none sees the same value as another."""

        def work(connection: Connection) -> int:
            found = count(connection)
            put(connection, str(found))
            return found

        seen: list[int] = []
        threads = [
            threading.Thread(target=lambda: seen.extend(database.transaction(work) for _ in range(20)))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == list(range(100))

    def test_one_inside_another_is_refused(self, database: Database) -> None:
        with pytest.raises(StoreError, match="inside a transaction"):
            database.transaction(lambda connection: database.transaction(count))
        assert database.transaction(count) == 0

    def test_after_closing_it_is_refused(self, database: Database) -> None:
        database.close()
        database.close()
        for use in (lambda: database.transaction(count), lambda: database.enter_lane("a", 0), database.check):
            with pytest.raises(StoreError, match=r"it is closed.*open it again"):
                use()
        with pytest.raises(StoreError, match="it is closed"):
            database.try_lane("a")

    def test_rows_must_belong_to_something(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            values = {"reference": "nobody", "number": 1, "from_status": "pending", "to_status": "paid"}
            connection.execute(insert(moves).values(accepted=True, at=NOW, **values))

        with pytest.raises(StoreError, match=r"FOREIGN KEY|fk_moves_attempt"):
            database.transaction(work)

    def test_a_table_that_is_gone(self, database: Database) -> None:
        database.transaction(lambda connection: connection.exec_driver_sql("DROP TABLE request_numbers"))
        with pytest.raises(StoreError, match=r"lacks a table.*`gateway store upgrade`"):
            database.transaction(put)

    def test_no_values_and_no_statement(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            put(connection, "value-that-is-nobodys-business")
            put(connection, "value-that-is-nobodys-business")

        with pytest.raises(StoreError, match=r"request_numbers\.key|request_numbers_pkey") as caught:
            database.transaction(work)
        told = f"{caught.value} {caught.value.to_dict()} {caught.value.__context__}"
        assert "nobodys-business" not in told
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or caught.value.__suppress_context__

    def test_whether_it_can_be_written_is_tried_and_leaves_nothing(self, database: Database) -> None:
        database.require_writable()
        assert database.transaction(count) == 0

    def test_words_that_nobody_knows_are_refused(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            make_order(connection)
            connection.execute(text("UPDATE orders SET status = 'secret-word'"))

        with pytest.raises(StoreError, match="ck_orders_status") as caught:
            database.transaction(work)
        assert "secret-word" not in str(caught.value)


class TestReading:
    def test_it_is_of_one_moment(self, database: Database, url: str) -> None:
        """What somebody else commits meanwhile is not seen."""

        def work(connection: Connection) -> tuple[int, int]:
            before = count(connection)
            thread = threading.Thread(target=lambda: other.transaction(put))
            thread.start()
            thread.join()
            return before, count(connection)

        with Database.open(url) as other:
            assert database.read(work) == (0, 0)
        assert database.read(count) == 1


# Python 3.12 and later warn of a fork beside other threads; a test worker has some, and the child ends at once.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestForks:
    """Parent and child must not share a connection."""

    def test_parent_and_child_go_on(self, database: Database) -> None:
        database.transaction(put)

        def act() -> int:
            database.transaction(lambda connection: put(connection, "child"))
            return database.transaction(count)

        assert forked(act) == "2"
        database.transaction(lambda connection: put(connection, "parent"))
        assert database.transaction(count) == 3
        assert database.check()["ok"]

    def test_a_child_has_none_of_its_parents_lanes(self, database: Database) -> None:
        held = database.enter_lane("a", 0)
        assert forked(lambda: database.leave_lane(held) or database.try_lane("a")) == "None"
        assert database.try_lane("a") is None
        database.leave_lane(held)
        assert database.try_lane("a") is not None

    def test_a_fork_inside_a_transaction_leaves_the_child_without_a_store(self, database: Database) -> None:
        def work(connection: Connection) -> str:
            put(connection)
            return forked(lambda: database.enter_lane("a", 0))

        assert "forked inside one of its transactions" in database.transaction(work)
        assert database.transaction(count) == 1

    def test_child_processes_of_another_program_do_not_matter(self, database: Database) -> None:
        database.transaction(put)
        assert subprocess.run(["true"], check=False).returncode == 0
        assert database.transaction(count) == 1
