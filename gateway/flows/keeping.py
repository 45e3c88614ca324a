"""Keeping the store: that it was restored, and what of it need not be kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gateway.core import Core
from gateway.engine.effects import Flow, transact
from gateway.errors import InvalidRequest
from gateway.store import pruning
from gateway.store import restores as store
from gateway.store.restores import Restore

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["accept", "note", "prune", "restores"]

SHORTEST = timedelta(days=1)
"""What is younger may still be looked at by whoever follows it."""

_AT_ONCE = 500


def restores(core: Core) -> Flow[list[Restore]]:
    """All restores that were noticed or told, newest first."""
    return (yield from transact(store.list_restores))


def note(core: Core, *, reason: str, by: str) -> Flow[Restore]:
    """A person says that the store was restored."""
    if not reason.strip() or not by.strip():
        raise InvalidRequest("whoever says that the store was restored says who it is and how it is known")
    return (yield from transact(lambda connection: store.note(connection, f"{reason} [{by}]", core.now())))


def accept(core: Core, *, reason: str, by: str) -> Flow[list[Restore]]:
    """Let money leave again. Returns what was accepted."""
    return (yield from transact(lambda connection: store.accept(connection, by=by, reason=reason, now=core.now())))


def prune(core: Core, *, older_than: timedelta, dry_run: bool) -> Flow[dict[str, int]]:
    """Let payloads go, a batch in each transaction; how many of each kind. `dry_run` only counts them."""
    if older_than < SHORTEST:
        raise InvalidRequest("what is younger than a day is not pruned", hint="write 1d or more")
    before = core.now() - older_than
    found = {}
    for kind in pruning.KINDS:
        found[kind] = yield from (_counted(kind, before) if dry_run else _pruned(kind, before))
    return found


def _counted(kind: str, before: datetime) -> Flow[int]:
    return (yield from transact(lambda connection: pruning.count(connection, kind, before)))


def _pruned(kind: str, before: datetime) -> Flow[int]:
    total, after = 0, 0
    while True:
        done, following = yield from transact(_batch(kind, before, after))
        total += done
        if following is None:
            return total
        after = following


def _batch(kind: str, before: datetime, after: int) -> Callable[[Connection], tuple[int, int | None]]:
    return lambda connection: pruning.prune(connection, kind, before, after=after, limit=_AT_ONCE)
