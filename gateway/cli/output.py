"""How results are shown: tables and colours on a terminal, tab-separated text in a pipe, with `--json` one document.

Everything shown passes `shown`, because texts of a provider (or of a payer) may hold control characters that a terminal
would obey.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.errors import GatewayError
from gateway.money import plain

__all__ = ["Column", "Output", "complain", "data_of", "drop_unwritten", "is_full", "named", "report", "shown"]

T = TypeVar("T")

# C0, C1 and DEL, line and paragraph separators, and what turns the direction of writing.
_CONTROLS = (*range(32), *range(127, 160), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_VISIBLE = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _CONTROLS} | dict.fromkeys(
    map(ord, "\t\n\r"), " "
)

_STYLES = {
    **dict.fromkeys(("supported", "paid", "completed", "done", "ok", "filled", "active"), "green"),
    **dict.fromkeys(
        ("manual", "creating", "pending", "processing", "intended", "sent", "underpaid", "open", "warning", "retiring"),
        "yellow",
    ),
    **dict.fromkeys(("failed", "unknown", "unconfirmed", "unrecognised", "rejected", "declined", "problem"), "red"),
    **dict.fromkeys(("absent", "expired", "cancelled", "refunded", "revoked"), "dim"),
}


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One value of an item. `coloured` ones are words such as a status, whose colour says how good they are."""

    title: str
    value: Callable[[T], object]
    coloured: bool = False


def shown(value: object) -> str:
    """The value as one line of text that no terminal obeys; empty for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(map(shown, value)))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{shown(key)} {shown(item)}" for key, item in value.items())
    return str(value).translate(_VISIBLE)


def named(data: Mapping[str, Any]) -> list[Column[Mapping[str, Any]]]:
    """The columns of data whose names say enough."""
    return [Column(name.replace("_", " "), itemgetter(name)) for name in data]


def data_of(model: BaseModel) -> dict[str, Any]:
    """A model as JSON-able data, the same every time."""
    data: dict[str, Any] = _ordered(model.model_dump(mode="json"))
    return data


def _ordered(data: Any) -> Any:
    """Sets have another order in every process. What is others' own stays as it is."""
    if isinstance(data, list):
        return [_ordered(value) for value in data]
    if not isinstance(data, dict):
        return data
    found = {key: value if key in ("metadata", "raw") else _ordered(value) for key, value in data.items()}
    return {**found, **{name: sorted(found[name]) for name in _SETS if isinstance(found.get(name), list)}}


_SETS = ("exceptions", "permissions")


class Output:
    """Where one command shows its result."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.on_terminal = not as_json and sys.stdout.isatty()

    def document(self, data: Any) -> None:
        """The one JSON document, in ASCII so that neither a terminal nor a locale can change it."""
        _write(json.dumps(data, indent=2, default=str) + "\n")

    def rows(
        self,
        items: Sequence[T],
        columns: Sequence[Column[T]],
        data: Callable[[T], Any],
        *,
        group: Column[T] | None = None,
    ) -> None:
        """A list: a table (one for each value of `group`), lines under a line of titles, or an array."""
        if self.as_json:
            self.document([data(item) for item in items])
        elif self.on_terminal:
            self._tables(items, columns, group)
        else:
            every = [*([group] if group else []), *columns]
            lines = [[column.title for column in every], *([shown(c.value(item)) for c in every] for item in items)]
            _write("".join("\t".join(line) + "\n" for line in lines))

    def _tables(self, items: Sequence[T], columns: Sequence[Column[T]], group: Column[T] | None) -> None:
        if not items:
            self.text("nothing found")
        for name in dict.fromkeys(shown(group.value(item)) if group else "" for item in items):
            table = Table(title=Text(name) if name else None, title_justify="left", header_style="bold")
            for column in columns:
                table.add_column(Text(column.title), overflow="fold")
            for item in items:
                if not group or shown(group.value(item)) == name:
                    table.add_row(*(_cell(column, item) for column in columns))
            _console().print(table)

    def one(self, item: T, columns: Sequence[Column[T]], data: Callable[[T], Any]) -> None:
        """One thing: a line for each of its values that is there, or an object."""
        if self.as_json:
            self.document(data(item))
        else:
            self._lines(item, columns)

    def each(self, items: Sequence[T], columns: Sequence[Column[T]], data: Callable[[T], Any]) -> None:
        """Several things, each as `one` shows it, or an array."""
        if self.as_json:
            self.document([data(item) for item in items])
            return
        for number, item in enumerate(items):
            if number:
                self.text("")
            self._lines(item, columns)

    def _lines(self, item: T, columns: Sequence[Column[T]]) -> None:
        cells = [(column.title, cell) for column in columns if (cell := _cell(column, item))]
        if not self.on_terminal:
            _write("".join(f"{title}\t{cell.plain}\n" for title, cell in cells))
            return
        width = max(len(title) for title, _ in cells)
        for title, cell in cells:
            # Never wrapped by us: an address with a line break in it cannot be copied.
            _console().print(Text.assemble((f"{title:{width}}  ", "bold"), cell), soft_wrap=True)

    def line(self, item: T, columns: Sequence[Column[T]], *, first: bool) -> None:
        """One of several lines that come one by one; nothing with `--json`. The titles stand above the first."""
        if self.as_json:
            return
        if not self.on_terminal:
            titles = "\t".join(column.title for column in columns) + "\n" if first else ""
            _write(titles + "\t".join(shown(column.value(item)) for column in columns) + "\n")
            return
        cells = [cell for column in columns if (cell := _cell(column, item))]
        _console().print(Text("  ").join(cells), soft_wrap=True)

    def text(self, text: str, *, style: str = "") -> None:
        """Lines of our own, as they are."""
        if self.on_terminal:
            _console().print(Text(text, style), soft_wrap=True)
        else:
            _write(text + "\n")


def _cell(column: Column[T], item: T) -> Text:
    text = shown(column.value(item))
    return Text(text, _STYLES.get(text, "") if column.coloured else "")


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()  # a closed pipe is noticed here, not when the interpreter ends


def is_full(error: OSError) -> bool:
    """Whether a write of the result had no room; what is wrong with a file that was to be opened names the file."""
    return error.filename is None and error.errno in _NO_ROOM


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def drop_unwritten() -> None:
    """Forget what standard output did not take, so that the interpreter's end does not try once more."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def report(error: GatewayError, *, as_json: bool) -> None:
    """A failure: `error: …` and `hint: …` on standard error, or its `to_dict()` as the document on standard output."""
    if as_json:
        try:
            Output(as_json=True).document(error.to_dict())
        except BrokenPipeError:
            raise
        except OSError:  # full: what went wrong first is told all the same
            drop_unwritten()
        else:
            return
    # str() ends with the hint, which has a line of its own here.
    complain(str(error).removesuffix(f" — {error.hint}"), error.hint)


def complain(message: str, hint: str | None = None, *, kind: str = "error") -> None:
    """One line on standard error, and one with what to do."""
    sys.stderr.write(f"{kind}: {shown(message)}\n" + (f"hint: {shown(hint)}\n" if hint else ""))
    sys.stderr.flush()
