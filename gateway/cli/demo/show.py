"""How a story is shown: a live table on a terminal, plain lines in a pipe, nothing while one JSON document is made."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gateway.cli.demo.script import Step
from gateway.cli.output import Output, shown

__all__ = ["PlainLines", "Screen", "Silence", "Terminal", "screen_for"]

_WIDEST_WHAT, _WIDEST_WHERE = 27, 17


class Screen(Protocol):
    """Where a story is shown, from entering to leaving."""

    def say(self, text: str) -> None: ...

    def began(self, step: Step) -> None: ...

    def ended(self, step: Step) -> None: ...

    def show_payment(self, uri: str, caption: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silence:
    """Shows nothing."""

    def say(self, text: str) -> None:
        pass

    def began(self, step: Step) -> None:
        pass

    def ended(self, step: Step) -> None:
        pass

    def show_payment(self, uri: str, caption: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class PlainLines(Silence):
    """One line a step as soon as it has ended, without control characters and never cut off."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def say(self, text: str) -> None:
        self._output.text(text)

    def ended(self, step: Step) -> None:
        word, where = "ok  " if step.ok else "FAIL", _where(step)
        self._output.text(
            f"{word} {step.name:<{_WIDEST_WHAT}} {where:<{_WIDEST_WHERE}} {step.seconds:6.2f} s  {shown(step.got)}"
        )
        if not step.ok:
            self._output.text(f"     expected: {shown(step.expected)}")
        for line in _lines(step.table):
            self._output.text(f"     {line}")

    def show_payment(self, uri: str, caption: str) -> None:
        self._output.text(f"     {caption}: {shown(uri)}")


class Terminal(Silence):
    """A table that grows line by line; its last line is live while its step is under way.

    Every line is a table of its own with the same widths, so that lines can scroll away on a small terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=12, transient=True)
        self._roomy = console.width >= 110

    def __enter__(self) -> Self:
        self._console.print(self._table(header=True))
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(Text(text))

    def began(self, step: Step) -> None:
        hope = Text(shown(step.expected), style="dim", no_wrap=True, overflow="ellipsis")
        self._live.update(self._row(Spinner("dots"), step, hope, Text()), refresh=True)

    def ended(self, step: Step) -> None:
        mark = Text("✓", style="green") if step.ok else Text("✗", style="bold red")
        seconds = Text(f"{step.seconds:.2f} s", style="dim")
        self._live.update(Text())
        self._console.print(self._row(mark, step, Text(shown(step.got), style="" if step.ok else "red"), seconds))
        if not step.ok:
            self._console.print(Text(f"  expected: {shown(step.expected)}", style="red"))
        if step.table:
            self._console.print(Text("\n".join(f"  {line}" for line in _lines(step.table))))

    def show_payment(self, uri: str, caption: str) -> None:
        # Its blocks are the light modules; the colours keep them light on a light terminal too.
        self._console.print(Text(_qr(uri), style="#ffffff on #000000"))
        self._console.print(Text(f"{caption}: {shown(uri)}", style="dim", overflow="fold"))

    def _row(self, mark: Spinner | Text, step: Step, what_happened: Text, seconds: Text) -> Table:
        table = self._table()
        where = _where(step) if self._roomy else step.account or step.provider or ""
        table.add_row(mark, Text(step.name), Text(where, style="cyan"), what_happened, seconds)
        return table

    def _table(self, *, header: bool = False) -> Table:
        table = Table(box=None, show_header=header, expand=True, padding=(0, 1, 0, 0))
        table.add_column("", width=1)
        table.add_column("step", width=_WIDEST_WHAT)
        table.add_column("account", width=_WIDEST_WHERE if self._roomy else 8)
        table.add_column("what happened", ratio=1, overflow="fold")
        table.add_column("time", width=6, justify="right")
        return table


def screen_for(output: Output) -> Screen:
    """Where a story is shown when its result goes there."""
    if output.as_json:
        return Silence()
    return Terminal(Console(highlight=False)) if output.on_terminal else PlainLines(output)


def _where(step: Step) -> str:
    if step.account is None:
        return step.provider or ""
    return f"{step.account} ({step.provider})" if step.provider else step.account


def _lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The rows under their titles, each column as wide as what is in it."""
    if not rows:
        return []
    lines = [list(rows[0]), *([shown(row[title]) for title in rows[0]] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _qr(uri: str) -> str:
    """Two rows of the code in one row of characters."""
    import segno

    drawn = io.StringIO()
    segno.make_qr(uri, error="l").terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue().rstrip("\n")
