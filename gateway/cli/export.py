"""`gateway store export`: the rows about money, for a spreadsheet, an auditor or another program."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import named
from gateway.cli.progress import counting
from gateway.cli.session import AsJson, ConfigFile, example, misuse, session
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["add"]


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


class Rows(StrEnum):
    """What can be exported; `gateway.store.export.TABLES` has the same names."""

    ORDERS = "orders"
    ATTEMPTS = "attempts"
    WITHDRAWALS = "withdrawals"
    REFUNDS = "refunds"
    JOURNAL = "journal"


def add(store: typer.Typer) -> None:
    store.command(
        "export",
        epilog=example(
            "gateway store export --output money.jsonl",
            "gateway store export --format csv --table withdrawals > withdrawals.csv",
        ),
    )(export)


def export(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file; else standard output.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="One line a row, of JSON or of CSV.")] = Format.JSONL,
    table: Annotated[
        list[Rows] | None, typer.Option("--table", help="Only these rows; repeatable. Of CSV it takes their columns.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Copy orders, attempts, withdrawals, refunds and the journal, all of one moment; writing goes on meanwhile.

    Every row says in `table` what it is. Amounts are exact, as text; times are ISO 8601 in UTC. What providers answered
    is left out. In CSV a text that a spreadsheet would take for a formula has an apostrophe in front. With --json and
    no --output, one object with an array for each table.
    """
    from gateway.store.database import Database

    here = session(context, config, as_json)
    if here.as_json and output is None and form is Format.CSV:
        misuse("--json prints JSON", hint="leave out --format csv, or write to a file with --output")
    tables = list(dict.fromkeys(each.value for each in table or Rows))
    # A bar would stand among lines that go to the same terminal.
    quiet = here.as_json or (output is None and sys.stdout.isatty())
    with Database.open(here.settings().store, create=False) as database:
        if here.as_json and output is None:
            found = database.read(lambda connection: {each: list(_rows(connection, each)) for each in tables})
            here.output.document(found)
            return
        with _target(output) as target:
            written = database.read(lambda connection: _write(connection, target, tables, form, quiet=quiet))
    if output is not None:
        result = {"store": database.name, "file": str(output), "format": form.value, **written}
        here.output.one(result, named(result), dict)


def _write(connection: Connection, target: IO[str], tables: list[str], form: Format, *, quiet: bool) -> dict[str, int]:
    from gateway.store.export import columns, count

    total = {each: count(connection, each) for each in tables}
    names = list(dict.fromkeys(["table", *(name for each in tables for name in columns(each))]))
    put = _csv(target, names) if form is Format.CSV else _lines(target)
    with counting("exporting", sum(total.values()), quiet=quiet) as step:
        for each in tables:
            for row in _rows(connection, each):
                put({"table": each, **row})
                step()
    target.flush()
    return total


def _rows(connection: Connection, table: str) -> Iterator[dict[str, Any]]:
    from gateway.store.export import rows

    return rows(connection, table)


def _lines(target: IO[str]) -> Callable[[dict[str, Any]], object]:
    return lambda row: target.write(json.dumps(row) + "\n")


def _csv(target: IO[str], names: list[str]) -> Callable[[dict[str, Any]], object]:
    """CSV with a line of titles; values that are no text are written as JSON. Every cell is in quotes, because what
    separates cells (a comma, a semicolon) is for the spreadsheet's language to say.
    """
    writer = csv.DictWriter(target, names, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    return lambda row: writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front: payers, and providers, can choose
    texts. The characters are those of OWASP's page on CSV injection. Numbers, negative ones too, stay as they are.
    """
    text = value if value is None or isinstance(value, str) else json.dumps(value)
    if text and text.lstrip(" ")[:1] in _BEGINS_A_FORMULA and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


_BEGINS_A_FORMULA = frozenset("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@contextmanager
def _target(path: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that is there as a whole or not at all, for its owner only."""
    if path is None:
        yield sys.stdout
        return
    if path.exists():
        raise InvalidRequest(f"there is a file {path} already", hint="name another one, or remove it")
    try:
        made, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be written: {error.strerror}", hint="check that its folder exists and may be written"
        ) from None
    try:
        with open(made, "w", encoding="utf-8", newline="") as target:
            yield target
        os.replace(name, path)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError):
            raise InvalidRequest(
                f"{path} cannot be written: {error.strerror}", hint="make room, or name another one"
            ) from None
        raise
