"""What a person sees while something takes time. Always on standard error, so that results stay whole, and only on a
terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from gateway.cli.output import shown

__all__ = ["counting", "waiting", "walking"]


@contextmanager
def waiting(text: str, *, quiet: bool) -> Iterator[None]:
    """A spinner with a text. Nothing must be printed meanwhile: Rich would lead it elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(shown(text)):
        yield


@contextmanager
def counting(text: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar. Gives what is to be called after each of `total` steps."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task(shown(text), total=total)
        yield lambda: progress.advance(task)


@contextmanager
def walking(text: str, *, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """A bar for lists whose length nobody tells. Gives what is to be called with a list's name and how many rows of it
    were read so far.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda name, rows: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[read]}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task(shown(text), total=None, read="")
        yield lambda name, rows: progress.update(task, read=shown(f"{name}: {rows} read"))
