"""SQLite's write-ahead log, looked at from outside: whether it belongs to the database file beside it.

SQLite replays whatever log it finds, also over a file that was put back to an older state while the log stayed
(https://www.sqlite.org/howtocorrupt.html, 1.4). The format is that of https://www.sqlite.org/fileformat2.html, 4.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

__all__ = ["commits_in_file", "commits_in_log"]

_HEADER, _FRAME = 32, 24


def commits_in_log(path: Path) -> int:
    """How many transactions stand in the log of this database; 0 without a log."""
    try:
        with open(f"{path}-wal", "rb") as log:
            header = log.read(_HEADER)
            if len(header) < _HEADER:
                return 0
            size, salt = struct.unpack(">I", header[8:12])[0], header[16:24]
            found = 0
            # Frames of an earlier round of the log, which nobody replays, carry another salt.
            while len(frame := log.read(_FRAME)) == _FRAME and frame[8:16] == salt:
                found += frame[4:8] != b"\0\0\0\0"  # the last frame of a transaction says how large the file is then
                log.seek(size, 1)
            return found
    except OSError:
        return 0


def commits_in_file(path: Path, name: str) -> int | None:
    """The count of commits, the fact `name`, as the file has it without its log. 0 in one that has no count yet, None
    when that cannot be read now, such as while somebody writes to it.
    """
    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
                return 0
            row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return int(row[0]) if row else 0
    except (sqlite3.Error, ValueError):
        return None
