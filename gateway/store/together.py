"""Many transactions in one: what waits to be committed at the same time is committed once, and acknowledged then.

A commit that survives a power cut waits for the disk, whatever it holds. Under load the next commit takes all that has
come meanwhile; a work that comes alone is committed at once, so nothing is held back for the sake of company.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.errors import StoreError
from gateway.store.failures import Trouble, trouble

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Together"]

T = TypeVar("T")

_MOST = 200
"""Works in one transaction: others who want to write wait for all of them."""


class _Failed(Exception):
    """One of the works raised, so the transaction of all of them is rolled back."""


class Together:
    """`transaction` runs one work in a transaction of its own. Safe for threads; after a fork the child begins anew."""

    def __init__(self, transaction: Callable[[Callable[[Connection], Any]], Any]) -> None:
        self._transaction = transaction
        self._inherited: list[object] = []
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[Connection], Any], Future[Any]]] = deque()
        self._thread: ThreadPoolExecutor | None = None
        self._committing = False

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Have the work done with others. Its result is there when it is durable; it raises what the work raises.

        When one of them raises, none of it stays and every other one is done in a transaction of its own. So a work
        may be run twice, and keeps nothing outside the store. A future that is cancelled in time is left out.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed", hint="open it again")
            self._waiting.append((work, future))
            if not self._committing:
                self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="gateway-commits")
                self._thread.submit(self._commit_all)
                self._committing = True
        return future

    def close(self) -> None:
        """Commit what waits, and end the thread. May be called again."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.shutdown()

    def after_fork(self) -> None:
        """In the child, where the parent's thread is not, and what waits there is not this process's to do."""
        self._inherited += [self._thread, self._waiting]
        self._begin()

    def _commit_all(self) -> None:
        while True:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
                if not batch:
                    self._committing = False
                    return
            self._commit([(work, future) for work, future in batch if future.set_running_or_notify_cancel()])

    def _commit(self, batch: list[tuple[Callable[[Connection], Any], Future[Any]]]) -> None:
        if len(batch) < 2:
            self._one_by_one(batch)
            return

        def every(connection: Connection) -> list[Any]:
            try:
                return [work(connection) for work, _ in batch]
            except Exception as error:
                if trouble(error) in (Trouble.CONFLICT, Trouble.LOST, Trouble.READ_ONLY):
                    raise  # of the transaction, not of this work: all of them are run again
                raise _Failed from error

        try:
            results = self._transaction(every)
        except _Failed:
            self._one_by_one(batch)
        except BaseException as error:  # whatever it is: somebody waits for each of them
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)

    def _one_by_one(self, batch: list[tuple[Callable[[Connection], Any], Future[Any]]]) -> None:
        unusable: BaseException | None = None
        for work, future in batch:
            try:
                if unusable is not None:
                    raise unusable
                result = self._transaction(work)
            except BaseException as error:
                # A store that is held by somebody else would make each of them wait its whole time, one after another.
                if isinstance(error, StoreError) and error.retryable:
                    unusable = error
                future.set_exception(error)
            else:
                future.set_result(result)
