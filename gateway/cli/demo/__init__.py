"""`gateway demo`: a story told against sandboxes on this machine, in which every expectation is checked.

Imported by every run of the command line, so everything else is imported when the command is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from gateway.cli.completion import stories
from gateway.cli.session import AsJson, ConfigFile, misuse, session

__all__ = ["STORIES", "command"]

STORIES: Mapping[str, str] = {
    "payments": "gateway.cli.demo.payments:tell",
    "callbacks": "gateway.cli.demo.callbacks:tell",
    "outage": "gateway.cli.demo.outage:tell",
    "keys": "gateway.cli.demo.keys:tell",
}
"""By name: `module:function`, called with a Script and a Stage."""


def command(
    context: typer.Context,
    story: Annotated[
        str, typer.Argument(metavar="STORY", help="Which story: " + ", ".join(STORIES) + ".", autocompletion=stories)
    ] = "payments",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """See orders, payouts, cards and trades run against sandboxes on this machine, every expectation checked.

    Reads no configuration and leaves nothing behind. Exit status 1 when something is not as expected; the document of
    --json says then, too, what it was.
    """
    output = session(context, config, as_json).output
    if story not in STORIES:
        misuse(f"there is no story {story!r}", hint="there are " + ", ".join(STORIES))
    from gateway.cli.demo.player import play
    from gateway.cli.demo.show import screen_for

    result = play(STORIES[story], screen_for(output))
    if output.as_json:
        output.document({"story": story, **result.to_dict()})
    else:
        output.text("\n" + result.summary(), style="bold green" if result.ok else "bold red")
    if not result.ok:
        raise typer.Exit(1)
