"""What a worker does: each kind of job once, as what is due in the store and how one of it is done.

The embedded runner (`gateway.worker.runner`) and Procrastinate (`gateway.worker.procrastinate`) do the same jobs. A job
is no promise: what is due stands in the tables of the store, a job that ended without doing it leaves it due, and
doing one again that is done does nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.core import Core
    from gateway.engine.drivers import AsyncDriver
    from gateway.engine.effects import Flow

__all__ = ["Context", "Due", "Kind", "Kinds"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Due:
    """One job that may be done now.

    `key` is all that its kind needs to do it. Jobs of one `lock` are done one at a time, over all workers. `group` is
    what may hang together, such as one handler or one account: no group takes more than half of a worker's places.
    """

    key: str
    lock: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a job works with."""

    core: Core
    driver: AsyncDriver

    async def run(self, flow: Flow[T]) -> T:
        return await self.driver.run(flow)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    `due` gives what may be done at `now`, at most `limit`, what waits longest first; it only reads. `run` does one,
    by its key. Its result says whether there was anything to do: False and 0 that there was not, so that a job which
    stays due is not done without end. A kind that is `here` can be done only by a process that has what its group
    names: an event handler.
    """

    name: str
    due: Callable[[Core, Connection, datetime, int], Sequence[Due]]
    run: Callable[[Context, str], Awaitable[object]]
    here: bool = False


Kinds = dict[str, Kind]
"""By name, in the order of their urgency."""
