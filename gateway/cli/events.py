"""`gateway events`: what happened, what handlers were told of it, and what they failed at."""

from __future__ import annotations

import json
import sys
from time import sleep
from typing import Annotated

import typer

from gateway.cli import completion
from gateway.cli.output import Column, data_of
from gateway.cli.session import AsJson, ConfigFile, Limit, Session, Yes, example, session
from gateway.models.events import Delivery, Event, HandlerState

__all__ = ["add"]

EVERY_SECONDS = 0.5

Handler = Annotated[
    str | None,
    typer.Option("--handler", metavar="NAME", help="Only of this handler.", autocompletion=completion.handlers),
]
Subject = Annotated[
    str | None, typer.Option("--subject", metavar="TEXT", help="Only about this, such as 'order cart-1001'.")
]

app = typer.Typer(help="What happened, and its delivery to your handlers.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="events")


@app.command(
    "tail",
    epilog=example(
        "gateway events tail --follow --type order.paid --type 'refund.*'", "gateway events tail --since 1042 --json"
    ),
)
def tail(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl-C.")] = False,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only these: order.paid, 'order.*'; repeatable.",
            autocompletion=completion.event_types,
        ),
    ] = None,
    subject: Subject = None,
    since: Annotated[
        int | None, typer.Option("--since", min=0, metavar="NUMBER", help="All after this event, oldest first.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Without --since: the newest so many.")] = 20,
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; with --follow one for each event, a line each.")
    ] = False,
) -> None:
    """Show the newest events, oldest first, or with --since all after a number.

    With --follow it goes on; --json then prints one JSON document for each event, a line each, and nothing else.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        if since is None:
            found = list(gateway.events.latest(limit, types=types, subject=subject))
        else:
            found = list(gateway.events.since(since, types=types, subject=subject))
        if not follow:
            here.output.rows(found, _EVENTS, data_of)
            return
        shown = _Shown(here)
        cursor = since or 0
        while True:
            for event in found:
                shown.event(event)
                cursor = event.id
            sleep(EVERY_SECONDS)
            found = list(gateway.events.since(cursor, types=types, subject=subject))


class _Shown:
    """Events, one by one."""

    def __init__(self, here: Session) -> None:
        self._output = here.output
        self._first = True

    def event(self, event: Event) -> None:
        if self._output.as_json:
            sys.stdout.write(json.dumps(data_of(event)) + "\n")
            sys.stdout.flush()
        self._output.line(event, _EVENTS, first=self._first)
        self._first = False


@app.command("handlers", epilog=example("gateway events handlers"))
def handlers(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the handlers that a worker has ever called: how far they are, what waits and what is dead.

    A handler whose deliveries wait, and that no worker has any more, was renamed or removed.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.events.handlers()
    # Which of them a worker has, no other process can see.
    here.output.rows(found, _HANDLERS, lambda state: state.model_dump(mode="json", include=_OF_A_HANDLER))


@app.command("dead", epilog=example("gateway events dead --handler mail"))
def dead(
    context: typer.Context,
    handler: Handler = None,
    limit: Limit = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List what handlers failed at for good, newest event first, with the error of the last try."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.events.dead(handler=handler, limit=limit)
    here.output.rows(found, _DEAD, data_of)


@app.command(
    "replay",
    epilog=example(
        "gateway events replay --yes",
        "gateway events replay mail --event 1042 --event 1043",
        "gateway events replay mail --subject 'order cart-1001' --done",
    ),
)
def replay(
    context: typer.Context,
    handler: Annotated[
        str | None, typer.Argument(help="Only to this handler.", autocompletion=completion.handlers)
    ] = None,
    event: Annotated[
        list[int] | None, typer.Option("--event", min=1, metavar="NUMBER", help="Only this event; repeatable.")
    ] = None,
    subject: Subject = None,
    done: Annotated[
        bool, typer.Option("--done", help="Those that succeeded too; of one handler, and named events or a subject.")
    ] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Have dead deliveries made again: all, or those of a handler, of events, of a subject. Asks first, unless --yes.

    The worker makes them. Find the cause with `gateway events dead` and mend it before.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        what = "what is dead or done" if done else "what is dead"
        here.confirm(f"Deliver {what} again to {handler or 'all handlers'}?", yes=yes)
        count = gateway.events.replay(handler=handler, events=event, subject=subject, done=done)
        here.done("the events are to be delivered again", "gateway events handlers")
    if here.as_json:
        here.output.document({"replayed": count})
    else:
        here.output.text(f"{count} to be delivered again by the worker")


def _amount(event: Event) -> str | None:
    found = event.data.get("received") or event.data.get("amount") or event.data.get("price")
    return f"{found['amount']} {found['asset']}" if isinstance(found, dict) else None


_EVENTS: list[Column[Event]] = [
    Column("event", lambda event: event.id),
    Column("at", lambda event: event.at),
    Column("type", lambda event: event.type),
    Column("reference", lambda event: event.reference),
    Column("status", lambda event: event.data.get("status"), coloured=True),
    Column("exceptions", lambda event: event.data.get("exceptions")),
    Column("amount", _amount),
    Column("account", lambda event: event.account),
    Column("provider id", lambda event: event.data.get("provider_id")),
]
_OF_A_HANDLER = {"name", "cursor", "behind", "waiting", "dead"}
_HANDLERS: list[Column[HandlerState]] = [
    Column("handler", lambda state: state.name),
    Column("last event", lambda state: state.cursor),
    Column("behind", lambda state: state.behind),
    Column("waiting", lambda state: state.waiting),
    Column("dead", lambda state: state.dead),
]
_DEAD: list[Column[Delivery]] = [
    Column("handler", lambda delivery: delivery.handler),
    Column("event", lambda delivery: delivery.event.id),
    Column("type", lambda delivery: delivery.event.type),
    Column("reference", lambda delivery: delivery.event.reference),
    Column("tries", lambda delivery: delivery.tries),
    Column("given up at", lambda delivery: delivery.updated_at),
    Column("error", lambda delivery: delivery.error),
]
