"""A call that is cancelled or interrupted leaves lanes free, connections usable and the journal true."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import AsyncGateway, Gateway, Money, OrderRequest
from gateway.errors import ConfigurationError, OutcomeUnknown
from gateway.store.database import Database
from support.loopback import Hold, Loopback
from support.toy import account, answers, toy_plugins

ORDER = OrderRequest(reference="cart-1", price=Money("1.00", "USD"))


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gateway.db'}"


async def seen(server: Loopback, requests: int) -> None:
    await asyncio.to_thread(server.wait_for, requests)


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("kind", ["key", "numbered", "login"])
class TestACancelledTask:
    @pytest.fixture
    def server(self) -> Iterator[Loopback]:
        with Loopback(app=answers) as server:
            yield server

    def test_while_it_waits_for_the_answer_to_a_read(self, kind: str, server: Loopback, store: str) -> None:
        async def main() -> None:
            async with AsyncGateway(
                accounts={"shop": account(server.url, kind=kind)}, store=store, plugins=toy_plugins()
            ) as gw:
                await gw.keys.verify(account="shop")
                server.plan(Hold())
                before = len(server.requests)
                task = asyncio.create_task(gw.keys.verify(account="shop", deadline=60))
                await seen(server, before + 1)
                await cancelled(task)
                await gw.keys.verify(account="shop", deadline=5)

        asyncio.run(main())

    def test_while_it_waits_for_the_answer_to_a_write(self, kind: str, server: Loopback, store: str) -> None:
        async def main() -> None:
            async with AsyncGateway(
                accounts={"shop": account(server.url, kind=kind)}, store=store, plugins=toy_plugins()
            ) as gw:
                await gw.keys.verify(account="shop")
                server.plan(Hold())
                before = len(server.requests)
                task = asyncio.create_task(gw.orders.create(ORDER, account="shop", deadline=60))
                await seen(server, before + 1)
                await cancelled(task)
                with pytest.raises(OutcomeUnknown, match="CancelledError"):
                    await gw.orders.create(ORDER, account="shop", deadline=5)
                assert len(server.requests) == before + 1
                [entry] = await gw.journal.show("cart-1")
                assert entry.state == "unknown"
                await gw.keys.verify(account="shop", deadline=5)

        asyncio.run(main())

    def test_while_many_wait_for_one_another(self, kind: str, server: Loopback, store: str) -> None:
        async def main() -> None:
            async with AsyncGateway(
                accounts={"shop": account(server.url, kind=kind)}, store=store, plugins=toy_plugins()
            ) as gw:
                server.plan(Hold())
                tasks = [asyncio.create_task(gw.keys.verify(account="shop", deadline=60)) for _ in range(20)]
                await seen(server, 1)
                for task in tasks[::2]:
                    task.cancel()
                server.release()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert results[1::2] == [None] * 10
                # One that had its answer already was not cancelled any more.
                assert {type(result) for result in results[::2]} <= {asyncio.CancelledError, type(None)}

        asyncio.run(main())


class TestACancellationMeetsTheStore:
    """A transaction is never cut short, and what it did is known to the flow."""

    @staticmethod
    def blocked(path: str) -> sqlite3.Connection:
        """Another program in the middle of a transaction: everybody else waits."""
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        return other

    @pytest.mark.parametrize("at", range(4))
    def test_before_anything_was_sent(self, at: int, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whichever transaction of a create it meets, the same call works afterwards and sends once."""
        begun = threading.Event()
        go_on = threading.Event()
        count = [0]
        real = Database.transaction

        def transaction(self: Database, work: Any) -> Any:
            count[0] += 1
            if count[0] == at + 1:
                begun.set()
                assert go_on.wait(10)
            return real(self, work)

        async def main(server: Loopback) -> None:
            async with AsyncGateway(accounts={"shop": account(server.url)}, store=store, plugins=toy_plugins()) as gw:
                await gw.journal.list()  # opens the store
                monkeypatch.setattr(Database, "transaction", transaction)
                task = asyncio.create_task(gw.orders.create(ORDER, account="shop", deadline=60))
                await asyncio.to_thread(begun.wait, 10)
                if task.done():
                    pytest.fail("it has fewer steps than this test believes")
                task.cancel()
                await asyncio.sleep(0)
                go_on.set()
                with pytest.raises(asyncio.CancelledError):
                    await task
                order = await gw.orders.create(ORDER, account="shop", deadline=2)
                assert order.provider_id == "1"
                assert len(server.requests) == 1

        with Loopback(app=answers) as server:
            asyncio.run(main(server))

    def test_while_it_waits_for_a_lane_of_another_process(self, store: str) -> None:
        async def main(server: Loopback) -> None:
            async with AsyncGateway(
                accounts={"shop": account(server.url, kind="numbered")}, store=store, plugins=toy_plugins()
            ) as gw:
                await gw.keys.verify(account="shop")
                lane = f"numbers {gw._core.account('shop').adapter.auth.key_id}"
                with Database.open(store) as other:
                    token = other.enter_lane(lane, 1)
                    task = asyncio.create_task(gw.keys.verify(account="shop", deadline=60))
                    await asyncio.sleep(0.1)
                    assert not task.done()
                    await cancelled(task)
                    other.leave_lane(token)
                    for _ in range(3):
                        await gw.keys.verify(account="shop", deadline=5)

        with Loopback(app=answers) as server:
            asyncio.run(main(server))

    def test_a_transaction_that_fails_under_a_cancelled_task_is_reported(self, store: str, tmp_path: Path) -> None:
        async def main(server: Loopback) -> None:
            async with AsyncGateway(accounts={"shop": account(server.url)}, store=store, plugins=toy_plugins()) as gw:
                await gw.journal.list()

                def work(connection: Any) -> Any:
                    begun.set()
                    assert go_on.wait(10)
                    raise ConfigurationError("from the work")

                from gateway.engine.effects import transact

                begun, go_on = threading.Event(), threading.Event()
                task = asyncio.create_task(gw._run(transact(work)))
                await asyncio.to_thread(begun.wait, 10)
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.sleep(0)
                go_on.set()
                with pytest.raises(ConfigurationError, match="from the work"):
                    await task

        with Loopback(app=answers) as server:
            asyncio.run(main(server))


class TestKeyboardInterrupt:
    """Ctrl-C in the middle of a synchronous call."""

    @staticmethod
    def interrupting(server: Loopback, requests: int) -> None:
        def press() -> None:
            server.wait_for(requests)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=press, daemon=True).start()

    @pytest.mark.parametrize("kind", ["key", "numbered", "login"])
    def test_during_a_write(self, kind: str, store: str) -> None:
        with (
            Loopback(app=answers) as server,
            Gateway(accounts={"shop": account(server.url, kind=kind)}, store=store, plugins=toy_plugins()) as gw,
        ):
            gw.keys.verify(account="shop")
            before = len(server.requests)
            server.plan(Hold())
            self.interrupting(server, before + 1)
            with pytest.raises(KeyboardInterrupt):
                gw.orders.create(ORDER, account="shop", deadline=60)
            with pytest.raises(OutcomeUnknown, match="KeyboardInterrupt"):
                gw.orders.create(ORDER, account="shop", deadline=5)
            assert len(server.requests) == before + 1
            gw.keys.verify(account="shop", deadline=5)

    def test_during_a_login(self, store: str) -> None:
        with (
            Loopback(Hold(), app=answers) as server,
            Gateway(accounts={"shop": account(server.url, kind="login")}, store=store, plugins=toy_plugins()) as gw,
        ):
            self.interrupting(server, 1)
            with pytest.raises(KeyboardInterrupt):
                gw.orders.create(ORDER, account="shop", deadline=60)
            assert gw.orders.create(ORDER, account="shop", deadline=5).provider_id == "1"
            assert [request.path for request in server.requests] == ["/keys", "/keys", "/orders"]


class TestClosing:
    def test_a_closed_gateway_refuses_every_call(self, colour: str) -> None:
        from support.colours import opened

        with Loopback(app=answers) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
            gw.keys.verify(account="shop")
            gw.close()
            gw.close()
            for call in (lambda: gw.keys.verify(account="shop"), lambda: gw.orders.create(ORDER)):
                with pytest.raises(ConfigurationError, match="closed"):
                    call()
            assert len(server.requests) == 1

    def test_one_that_was_never_used_closes_too(self, colour: str) -> None:
        from support.colours import opened

        with opened(colour, accounts={"shop": account("http://127.0.0.1:9")}) as gw:
            gw.close()


def test_a_lane_that_the_store_cannot_give_is_left(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.errors import StoreError
    from support.colours import opened

    def refuse(self: Database, name: str, timeout: float) -> Any:
        raise StoreError("no lane today")

    with (
        Loopback(app=answers) as server,
        opened(colour, accounts={"shop": account(server.url, kind="numbered")}) as gw,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Database, "enter_lane", refuse)
            with pytest.raises(StoreError):
                gw.keys.verify(account="shop")
        gw.keys.verify(account="shop", deadline=2)
        assert len(server.requests) == 1
