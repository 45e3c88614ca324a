"""When something is looked at again: pure rules, no I/O.

Soon after it was made or has changed, then less and less often until it has ended; an order is read on for a time after
that, because money can come late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.config import WatchSettings

__all__ = ["HOPELESS", "Seen", "after_failure", "next_look", "rest_after"]

HOPELESS = timedelta(days=30)
"""After this, nobody waits any more for what cannot be asked for."""

_SOON, _EARLY = timedelta(minutes=2), timedelta(minutes=10)
_UNSAID, _AFTERWARDS = timedelta(hours=1), timedelta(hours=2)
_LONGEST = timedelta(days=1)
_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=30), timedelta(hours=1)
_FIRST_REST, _LONGEST_REST = timedelta(seconds=5), timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the schedule goes by.

    `since` is the last change, `looked_at` the last reading (not after `since` when there was none since the change).
    `final_at` is when it ended, `expired` that it ended unpaid. `called_back` says that the provider tells of changes
    by itself.
    """

    since: datetime
    looked_at: datetime
    expires_at: datetime | None = None
    final_at: datetime | None = None
    expired: bool = False
    called_back: bool = False


def next_look(seen: Seen, settings: WatchSettings) -> datetime | None:
    """The time of the next reading; None when it is over."""
    if seen.final_at is not None:
        return _late_money(seen, seen.final_at, settings)
    base = max(seen.looked_at, seen.since)
    if seen.called_back and seen.looked_at <= seen.since:
        return seen.since + max(settings.callback, settings.soon)
    age = base - seen.since
    when = base + _pause(seen, base, age, settings)
    if seen.expires_at is not None and base <= seen.expires_at:
        # That it has expired is seen soon after, not a whole pause later.
        when = min(when, seen.expires_at + settings.soon)
    return when


def _pause(seen: Seen, base: datetime, age: timedelta, settings: WatchSettings) -> timedelta:
    if age < _SOON:
        return settings.soon
    if age < _EARLY:
        return settings.early
    expires_at = seen.expires_at or seen.since + _UNSAID
    if base < expires_at:
        return max(settings.waiting, min(settings.late, age / 60))
    if base < max(expires_at, seen.since) + _AFTERWARDS:
        return settings.late
    return min(max(settings.rarely, age / 24), max(_LONGEST, settings.rarely))


def _late_money(seen: Seen, final_at: datetime, settings: WatchSettings) -> datetime | None:
    """What has expired may still be paid; what was paid may be paid again or go back, which has more time."""
    end = final_at + settings.monitoring
    base = max(seen.looked_at, final_at)
    if base >= end:
        return None
    if not seen.expired:
        pause = max(settings.rarely, settings.monitoring / 4)
    else:
        pause = settings.late if base < final_at + _AFTERWARDS else settings.rarely
    return min(base + pause, end)


def after_failure(failures: int) -> timedelta:
    """How long to wait before the next try of what could not be read; `failures` in a row, from 1."""
    return min(_FIRST_RETRY * (1 << min(failures - 1, 20)), _LAST_RETRY)


def rest_after(failures: int) -> timedelta:
    """How long an account is left alone that could not be reached; `failures` in a row, from 1."""
    return min(_FIRST_REST * (1 << min(failures - 1, 20)), _LONGEST_REST)
