"""Workers as processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 90


class Worker:
    """One, with all that it has said so far."""

    def __init__(self, url: str, *, ticks: bool = False, **settings: Any) -> None:
        child = str(Path(__file__).with_name("child.py"))
        self.process = subprocess.Popen(
            [sys.executable, child, url, json.dumps(settings), *(["ticks"] if ticks else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> str:
        return str(self.process.pid)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))

    def says(self, text: str) -> None:
        """Wait until it has said something with this in it."""
        until(lambda: any(text in line for line in self.said), lambda: f"it said only {self.said}")

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to stop; its exit status."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def workers(number: int, url: str, **settings: Any) -> Iterator[list[Worker]]:
    started = [Worker(url, **settings) for _ in range(number)]
    try:
        yield started
    finally:
        for each in started:
            each.close()


def until(condition: Callable[[], object], told: Callable[[], str] = lambda: "it never came to be") -> None:
    """Wait for something that another process does. Fails after a time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(told())
        time.sleep(0.02)
