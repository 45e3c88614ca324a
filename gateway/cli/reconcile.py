"""`gateway reconcile`: the provider's books beside ours."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gateway.cli.output import Column, complain, data_of, shown
from gateway.cli.progress import walking
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    Deadline,
    Session,
    example,
    misuse,
    only_account,
    session,
)
from gateway.errors import NotFound
from gateway.models.reconciliations import Finding, Reconciliation

__all__ = ["add"]

_AGO = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def add(root: typer.Typer) -> None:
    root.command(
        "reconcile",
        epilog=example(
            "gateway reconcile --account shop --since 7d",
            "gateway reconcile --account shop --since 2025-06-01 --until 2025-07-01 --repair",
            "gateway reconcile --account shop --last --json",
        ),
    )(reconcile)


def reconcile(
    context: typer.Context,
    account: AccountName = None,
    since: Annotated[
        str,
        typer.Option("--since", metavar="TIME", help="A day, a time (UTC unless it says), or so long ago: 12h, 7d."),
    ] = "7d",
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only what was made before.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Let what is known here follow the provider.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Read nothing: show what the last run found.")] = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare what was made at an account with the provider's own lists, and show what differs.

    Only reads are sent, and nothing is settled. --repair changes what is known here, with the events that were missed;
    no money moves. Exit status: 0 nothing differs (any more), 1 something does, or a list could not be read. What the
    provider does not offer is named and does not count.
    """
    here = session(context, config, as_json)
    now = datetime.now(UTC)
    beginning, end = _moment(since, "--since", now), _moment(until, "--until", now) if until is not None else None
    if last and (repair or until is not None):
        misuse("--last reads nothing: it goes with --account alone")
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        if last:
            found = gateway.reconciled(account=name)
            if found is None:
                raise NotFound(f"{name} was not reconciled yet", account=name, hint="run it without --last")
        else:
            with walking(f"reconciling {name}", quiet=as_json) as progress:
                found = gateway.reconcile(
                    account=name, since=beginning, until=end, repair=repair, progress=progress, deadline=deadline
                )
    _show(here, found)
    if found.differs or not found.complete:
        raise typer.Exit(1)


def _moment(text: str, option: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        misuse(f"{option} is no time: {text!r}", hint="such as 2025-06-01, 2025-06-01T12:00:00Z, 12h or 7d")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _show(here: Session, found: Reconciliation) -> None:
    output = here.output
    if here.as_json:
        output.document(data_of(found))
        return
    if output.on_terminal:
        output.each(list(found.findings), _FINDINGS, data_of)
    else:
        output.rows(list(found.findings), _FINDINGS, data_of)
    for one in found.not_compared:
        output.text(f"not compared: {shown(one.what)}: {shown(one.reason)}")
    read = ", ".join(f"{operation} {count}" for operation, count in found.read.items()) or "nothing"
    repaired = sum(finding.repaired for finding in found.findings)
    output.text(f"{found.account}, {shown(found.since)} to {shown(found.until)}: read {read}; repaired {repaired}")
    if not found.complete:
        complain(f"not everything could be compared at {found.account}", "see above what, and run it again")
    elif found.differs:
        left = len(found.findings) - repaired + found.unlisted
        unlisted = f", {found.unlisted} of them not listed" if found.unlisted else ""
        count = "1 difference" if left == 1 else f"{left} differences"
        complain(f"{count} at {found.account} to be looked at{unlisted}", "each says what to do")


def _words(finding: Finding) -> str:
    matches = ", ".join(str(match["provider_id"]) for match in finding.matches)
    return f"{finding.there}: {matches}" if matches else finding.there or ""


_FINDINGS: list[Column[Finding]] = [
    Column("kind", lambda finding: finding.kind),
    Column("subject", lambda finding: finding.subject),
    Column("reference", lambda finding: finding.reference),
    Column("attempt", lambda finding: finding.number),
    Column("provider id", lambda finding: finding.provider_id),
    Column("here", lambda finding: finding.here),
    Column("there", _words),
    Column("repaired", lambda finding: finding.repaired),
    Column("what to do", lambda finding: None if finding.repaired else finding.todo),
]
