"""`gateway conformance`: what the conformance kit proved of adapters, row by row of their tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import Column, complain, shown
from gateway.cli.session import AsJson, ConfigFile, Session, example, session

__all__ = ["add"]

Row = dict[str, Any]


def add(app: typer.Typer) -> None:
    app.command(
        "conformance",
        epilog=example("gateway conformance report.json", "gateway conformance report.json --all --json"),
    )(conformance)


def conformance(
    context: typer.Context,
    report: Annotated[Path, typer.Argument(metavar="FILE", help="What `pytest --gateway-report=FILE` wrote.")],
    everything: Annotated[bool, typer.Option("--all", help="Show what is not offered too.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what the conformance kit proved of each adapter, capability by capability.

    A row is proved, failed, partly examined or not exercised, and has the grade of its evidence; checks that did not
    run, what the author says nothing of, and what of a generated adapter is left to fill in, are named below. With
    --json it is the report itself.
    Exit status: 0 everything that is declared was proved, 1 something was not. A report of a part of the checks proves
    only what it names.
    """
    from gateway.testing.conformance.report import Report

    here = session(context, config, as_json)
    data = Report.read(report)
    if as_json:
        here.output.document(data)
    else:
        _show(here, data, everything)
    if not data["conforms"]:
        raise typer.Exit(1)


def _show(here: Session, data: dict[str, Any], everything: bool) -> None:
    rows = [row for subject in data["subjects"] for row in _rows(subject)]
    shown_rows = [row for row in rows if everything or row["state"] != "not offered"]
    if rows:
        here.output.rows(shown_rows, _COLUMNS, dict, group=_SUBJECT)
    for row in rows:
        for failure in row["failures"]:
            here.output.text(f"\n{shown(failure['check'])} [{shown(failure['case'])}]")
            here.output.text("\n".join(shown(line) for line in failure["message"].split("\n")))
    for subject in data["subjects"]:
        for one in subject["unsaid"]:
            if one["reason"]:
                here.output.text(shown(f"{subject['name']}: {one['words']}. The author's reason: {one['reason']}"))
        for words in subject["untried"]:
            here.output.text(shown(f"{subject['name']}: {words}"))
    for words in data["not_proved"]:
        here.output.text(shown(words))
    left = data["left_to_fill_in"]
    if left:
        here.output.text(f"left to fill in: {len(left)}; what is proved is proved of what was made up there")
        for place in left:
            here.output.text(shown(place))
    elif not data["complete"]:
        here.output.text("only a part of the checks was run: what is not exercised says nothing")
    if not data["conforms"]:
        complain(f"not proved: {_why(rows)}", "what is named above says what to look at")


def _why(rows: list[Row]) -> str:
    if not rows:
        return "nothing was examined"
    counts = [(sum(row["state"] == state for row in rows), state) for state in _NOT_PROVED]
    return ", ".join(f"{count} {state}" for count, state in counts if count) or "the run was not complete"


_NOT_PROVED = ("failed", "not exercised", "partly examined")


def _rows(subject: dict[str, Any]) -> list[Row]:
    """The rows of the table, and then what every adapter is examined for."""
    return [{"subject": subject["name"], **row} for row in (*subject["rows"], *subject["areas"])]


_SUBJECT: Column[Row] = Column("adapter", lambda row: row["subject"])
_COLUMNS: list[Column[Row]] = [
    Column("what", lambda row: row["operation"]),
    Column("variant", lambda row: row["variant"]),
    Column("state", lambda row: row["state"], coloured=True),
    Column("grade", lambda row: row["grade"]),
    Column("checks", lambda row: row["checks"]),
    Column("failed", lambda row: len(row["failures"]) or None),
]
