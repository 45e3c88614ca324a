"""Who holds a lease: one claim by one process of one machine, and whether that process still runs."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Owner", "is_alive", "this_process"]

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """One claim.

    `machine` tells running kernels and their process spaces apart: a number means a process only within one. `started`
    tells a process from a later one of the same number. Both are empty where the system does not say. `claim` is
    random, so that two claims of one process differ.
    """

    host: str
    machine: str
    pid: int
    started: str
    claim: str

    def __str__(self) -> str:
        return "|".join((self.host, self.machine, str(self.pid), self.started, self.claim))

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner that was recorded; None for what is no owner."""
        parts = text.split("|")
        if len(parts) != 5 or not parts[2].isascii() or not parts[2].isdigit() or not 0 < int(parts[2]) < 2**31:
            return None
        return cls(parts[0], parts[1], int(parts[2]), parts[3], parts[4])


def this_process() -> Owner:
    """A new claim of the calling process. Everything is read now, so it is right after a fork too."""
    pid = os.getpid()
    return Owner(_host(), _machine(), pid, _started(pid) or "", secrets.token_hex(8))


def is_alive(owner: str) -> bool | None:
    """Whether the process of this claim still runs; None when that cannot be known, such as from another machine."""
    claimed = Owner.parse(owner)
    if claimed is None or (claimed.host, claimed.machine) != (_host(), _machine()):
        return None
    if not _exists(claimed.pid):
        return False
    started = _started(claimed.pid)
    if started is None or not claimed.started:
        return None  # there is a process of this number, and it may be another one
    return started == claimed.started


def _host() -> str:
    return socket.gethostname().replace("|", "-")


def _machine() -> str:
    """The boot of the kernel and the space of process numbers (a container's own, or the machine's)."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""
    return f"{boot}/{space}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 is only the check (POSIX kill)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str | None:
    """When the process started, in ticks since boot; "ended" for a zombie; None where proc(5) does not say."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return "ended" if fields[0] in ("Z", "X") else fields[19]
