"""`gateway worker`: what becomes due is done, until stopped; a line for everything that was done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.aio import AsyncGateway
from gateway.api import Gateway
from gateway.cli.output import Column, Output, complain, shown
from gateway.cli.session import ConfigFile, example, misuse, session
from gateway.observation import Record

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    app.command(
        "worker",
        epilog=example("gateway worker --app shop.payments:gw", "gateway worker --until-idle --json"),
    )(worker)


def worker(
    context: typer.Context,
    app: Annotated[
        str | None,
        typer.Option(
            "--app",
            metavar="MODULE:NAME",
            help="Your gateway, with the event handlers of its module, or a function that makes it.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, max=1000, help="Jobs at once, instead of worker.concurrency.")
    ] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Do what is due now, and end.")] = False,
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a line for each job, or one document with --until-idle.")
    ] = False,
) -> None:
    """Process callbacks, poll what can change, deliver events and reconcile, until Ctrl-C or SIGTERM.

    On SQLite one worker works and further ones stand by; on PostgreSQL any number share the work. With --app, which is
    looked for in the current folder too, the gateway is the module's, with its configuration; without, it is that of
    the configuration file, and no handlers are called but those of plugins. What is under way when it is told to stop
    may end within `worker.grace`; a second Ctrl-C cuts it short. Nothing is lost by any way of ending it.

    A line for every job that was done. With --json every line is one JSON object; with --until-idle it is one document
    at the end. Exit status 1 when --until-idle and something failed.
    """
    from gateway.worker.apps import find_app

    here = session(context, config, as_json)
    if app is not None and config is not None:
        misuse("--app and --config exclude each other", hint="the gateway of --app has its own configuration")
    gateway = here.gateway() if app is None else find_app(app)
    told = _Told(here.output, whole=until_idle)
    gateway.observe(told.record)
    with told.instead_of_logs():
        if isinstance(gateway, Gateway):
            with gateway:
                gateway.run(until_idle=until_idle, concurrency=concurrency)
        else:
            asyncio.run(_awaited(gateway, until_idle, concurrency))
    if until_idle:
        told.sum_up()
        if told.ends["failed"]:
            raise typer.Exit(1)


async def _awaited(gateway: AsyncGateway, until_idle: bool, concurrency: int | None) -> None:
    from gateway.worker.running import run_awaited

    async with gateway:
        await run_awaited(gateway, until_idle=until_idle, concurrency=concurrency, signals=True)


class _Told(logging.Handler):
    """What was done, and what the worker says: each a line. Warnings go to standard error, unless all is JSON."""

    def __init__(self, output: Output, *, whole: bool) -> None:
        super().__init__(logging.INFO)
        self.ends: Counter[str] = Counter()
        self._jobs: dict[str, Counter[str]] = {"done": Counter(), "failed": Counter()}
        self._output = output
        self._whole = whole

    def record(self, record: Record) -> None:
        """As an observer."""
        if record.kind != "job":
            return
        self.ends[record.outcome] += 1
        self._jobs[record.outcome][record.operation] += 1
        if self._output.as_json:
            self._json({column.title: column.value(record) for column in _LINE} | {"error": record.error})
        else:
            self._output.line(record, _LINE, first=False)

    def emit(self, record: logging.LogRecord) -> None:
        """As a handler of the gateway's log."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        if self._output.as_json:
            self._json(
                {
                    "at": shown(datetime.fromtimestamp(record.created, UTC)),
                    "level": record.levelname.lower(),
                    "message": text,
                }
            )
        elif record.levelno >= logging.WARNING:
            first, *more = text.splitlines()
            complain(first, kind=record.levelname.lower())
            sys.stderr.write("".join(f"{shown(line)}\n" for line in more))
        else:
            self._output.text(shown(text), style="dim")

    @contextlib.contextmanager
    def instead_of_logs(self) -> Iterator[None]:
        """Tell what the gateway logs. What libraries say of a server that is lost, in their own words and at length, is
        said by the worker in one line.
        """
        loggers = {name: logging.getLogger(name) for name in ("gateway", *_QUIET)}
        before = {name: logger.level for name, logger in loggers.items()}
        for name, logger in loggers.items():
            logger.setLevel(logging.INFO if name == "gateway" else logging.CRITICAL)
        loggers["gateway"].addHandler(self)
        try:
            yield
        finally:
            loggers["gateway"].removeHandler(self)
            for name, logger in loggers.items():
                logger.setLevel(before[name])

    def sum_up(self) -> None:
        """What the whole run did."""
        if self._output.as_json:
            self._output.document({end: dict(sorted(kinds.items())) for end, kinds in self._jobs.items()})
        else:
            self._output.text(f"{self.ends['done']} done, {self.ends['failed']} failed: nothing more is due")

    def _json(self, data: dict[str, Any]) -> None:
        if not self._whole:
            sys.stdout.write(json.dumps(data, default=shown) + "\n")
            sys.stdout.flush()


_QUIET = ("procrastinate", "psycopg.pool")

_LINE: list[Column[Record]] = [
    Column("at", lambda record: record.started_at),
    Column("job", lambda record: record.operation),
    Column("subject", lambda record: record.subject),
    Column("outcome", lambda record: record.outcome, coloured=True),
    Column("seconds", lambda record: f"{record.seconds:.3f}"),
]
