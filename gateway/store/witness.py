"""What a SQLite store was when it was last written to, in a file beside it: `…-witness`.

A database file that is put back in place of a newer one knows nothing of that; the file beside it does. Back-ups leave
it out. It never runs ahead of the database: it is written after each commit.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Seen", "Witness"]

_LINE = re.compile(rb"([0-9a-f]{32}) (\d{20})\n")


@dataclass(frozen=True, slots=True)
class Seen:
    """Which store it was, and how many transactions had changed it."""

    store: str
    commits: int


class Witness:
    """The file. Safe for threads and processes. Where it cannot be read or written, nothing is witnessed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Seen | None:
        """What was last seen; None when there is nothing, or nothing that can be read."""
        try:
            found = _LINE.fullmatch(self.path.read_bytes())
        except OSError:
            return None
        return Seen(found[1].decode(), int(found[2])) if found else None

    def tell(self, seen: Seen, *, newer_only: bool = True) -> bool:
        """Write it down, unless somebody else has seen more of the same store. False when it cannot be written."""
        import fcntl  # here, because the module is imported on every system

        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                known = _LINE.fullmatch(os.pread(descriptor, 128, 0))
                if newer_only and known and known[1].decode() == seen.store and int(known[2]) >= seen.commits:
                    return True
                # One line of always the same length, so that no reader ever finds half of it.
                line = f"{seen.store} {seen.commits:020d}\n".encode()
                os.pwrite(descriptor, line, 0)
                os.ftruncate(descriptor, len(line))
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True
