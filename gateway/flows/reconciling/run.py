"""One run over one account: what it has read and found so far, and how it walks the provider's lists."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

from gateway.accounts import OpenAccount
from gateway.contracts import Query
from gateway.core import Core
from gateway.engine.effects import Flow
from gateway.errors import GatewayError, UnsupportedOperation, UnverifiedOperation
from gateway.exchange import Operation
from gateway.flows import matching
from gateway.flows.listing import NewestFirst, patient_page
from gateway.models.base import Page
from gateway.models.orders import ProviderOrder
from gateway.models.reconciliations import Finding, FindingKind, NotCompared, Subject
from gateway.models.trades import Trade
from gateway.money import Money
from gateway.secrets import Raw

__all__ = ["BATCH", "MARGIN", "MOST_FINDINGS", "PAGE", "Movement", "Numbers", "Row", "Run", "Tell", "numbered"]

MOST_FINDINGS = 10_000
PAGE = 100
BATCH = 500
MARGIN = timedelta(days=1)
"""A zone that is set wrong moves all times of a provider: lists are read so much further back than is asked for."""

Tell = Callable[[str, int], None]
"""Called with what is being read and how many rows of it were read so far."""


class Row(Protocol):
    """What the rows of all lists tell."""

    @property
    def provider_id(self) -> str | None: ...
    @property
    def created_at(self) -> datetime | None: ...


R = TypeVar("R", bound=Row)
L = TypeVar("L", ProviderOrder, Trade)


@dataclass(frozen=True, slots=True)
class Movement:
    """What is kept of a money movement until something accounts for it: there can be as many as there are orders."""

    provider_id: str
    kind: str | None
    status: str | None
    amount: Money | None
    created_at: datetime | None
    hashes: tuple[str, ...]


class Numbers:
    """Which numbers a list has shown, in eight bytes each: they are many, and are only asked for."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._sorted = True

    def add(self, numbers: Iterable[str]) -> None:
        self._hashes.extend(map(_hash, numbers))
        self._sorted = False

    def __contains__(self, number: str) -> bool:
        if not self._sorted:
            self._hashes = array("Q", sorted(self._hashes))
            self._sorted = True
        found = _hash(number)
        place = bisect_left(self._hashes, found)
        return place < len(self._hashes) and self._hashes[place] == found


def _hash(number: str) -> int:
    return int.from_bytes(blake2b(number.encode(), digest_size=8).digest(), "big")


class Run:
    """What is compared, how, and what was found so far."""

    def __init__(
        self,
        core: Core,
        account: OpenAccount,
        since: datetime,
        until: datetime,
        *,
        repair: bool,
        background: bool,
        seconds: float | None,
        tell: Tell,
    ) -> None:
        self.core = core
        self.account = account
        self.since = since
        self.until = until
        self.repair = repair
        self.background = background
        self.seconds = seconds
        self.tell = tell
        self.began_at = core.now()
        self.read: dict[str, int] = {}
        self.findings: list[Finding] = []
        self.unlisted = 0
        self.not_compared: list[NotCompared] = []
        # Orders in which there was money when they were read, and of which that was not known here.
        self.paid_there: list[ProviderOrder] = []
        # What nothing here accounts for: what came of a write of unknown outcome is among it.
        self.loose_orders: list[ProviderOrder] = []
        self.loose_trades: list[Trade] = []
        self.loose_movements: list[Movement] = []

    def found(self, kind: FindingKind, subject: Subject, todo: str, **more: Any) -> None:
        if len(self.findings) >= MOST_FINDINGS:
            self.unlisted += 1
            return
        self.findings.append(Finding(kind=kind, subject=subject, account=self.account.name, todo=todo, **more))

    def keep(self, loose: list[L], row: L) -> bool:
        """Keep a row that nothing here accounts for; one too many is only counted."""
        if len(loose) >= MOST_FINDINGS:
            self.unlisted += 1
            return False
        loose.append(row.model_copy(update={"raw": Raw()}))
        return True

    def offers(self, operation: str, what: str) -> bool:
        """Whether the list may be read; if not, that is told."""
        try:
            self.account.require(operation)
        except (UnsupportedOperation, UnverifiedOperation) as error:
            self.left_out(what, error.message)
            return False
        return True

    def left_out(self, what: str, reason: str, *, failed: bool = False) -> None:
        self.not_compared.append(NotCompared(what=what, reason=reason, failed=failed))

    def broke(self, what: str, error: GatewayError) -> None:
        self.left_out(what, f"{type(error).__name__}: {error.message}", failed=True)

    def covers(self, *times: datetime | None) -> bool:
        """Whether any of these times is one of those asked for. What tells none is compared."""
        known = [time for time in times if time is not None]
        return not known or any(self.since - matching.CLOCKS_DIFFER <= time < self.until for time in known)

    def should_be_shown(self, made_at: datetime) -> bool:
        """Whether a list that was walked would hold what was made here then."""
        return self.since <= made_at < min(self.until, self.began_at)

    def walk(
        self,
        operation: str,
        make: Callable[[Query], Operation[Page[R]]],
        take: Callable[[Sequence[R], datetime], Flow[None]],
        *,
        customer: str | None = None,
    ) -> Flow[None]:
        """Read a list page by page, to its end or as far back as is asked for. `take` gets the rows of a page and the
        moment before it was read.
        """
        newest_first, cursor = NewestFirst(), None
        while True:
            query, read_at = Query(cursor=cursor, size=PAGE, customer=customer), self.core.now()
            page: Page[R] = yield from patient_page(
                self.core,
                self.account,
                operation,
                lambda query=query: make(query),  # type: ignore[misc]
                seconds=self.seconds,
                background=self.background,
            )
            self.read[operation] = self.read.get(operation, 0) + len(page.items)
            self.tell(operation, self.read[operation])
            yield from take(page.items, read_at)
            oldest = newest_first.oldest(row.created_at for row in page.items)
            cursor = page.next
            if cursor is None or (oldest is not None and oldest < self.since - MARGIN):
                return


def numbered(rows: Iterable[R]) -> dict[str, R]:
    """The rows that have a number, by it."""
    return {row.provider_id: row for row in rows if row.provider_id is not None}
