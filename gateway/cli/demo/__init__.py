"""`gateway demo`: a story told against sandboxes on this machine, in which every expectation is checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gateway.cli.demo.script import Script, Step, Stopped
from gateway.cli.demo.show import PlainLines, Screen, Silence, Terminal
from gateway.cli.demo.stage import Stage, own_environment
from gateway.cli.session import AsJson, ConfigFile, misuse, session

if TYPE_CHECKING:
    from gateway.testing import Sandbox

__all__ = ["STORIES", "Result", "Story", "command", "play"]

NOTICE = (
    "The sandboxes in this demo are this project's own imitations of the providers, written from their documentation.",
    "Nothing leaves this machine, no real money is involved, and nothing here was checked against the live services.",
)


@dataclass(frozen=True)
class Story:
    """`teller` is `module:function`, called with a Script and a Stage."""

    title: str
    teller: str

    def tell(self, script: Script, stage: Stage) -> None:
        module, _, function = self.teller.partition(":")
        teller: Callable[[Script, Stage], None] = getattr(import_module(module), function)
        teller(script, stage)


STORIES: Mapping[str, Story] = {
    "payments": Story("payments, payouts, cards and trades, and switching providers", "gateway.cli.demo.payments:tell"),
}


@dataclass(frozen=True)
class Result:
    story: str
    seconds: float
    steps: Sequence[Step]

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "story": self.story,
            "notice": " ".join(NOTICE),
            "seconds": round(self.seconds, 3),
            "steps": [step.to_dict() for step in self.steps],
        }


def play(name: str, screen: Screen, sandboxes: Sequence[Sandbox] | None = None) -> Result:
    """Tell a story. It ends at the first step that is not as expected.

    Raises ConfigurationError when the sandboxes cannot be started.
    """
    started = time.perf_counter()
    script = Script(screen)
    with ExitStack() as opened:
        opened.enter_context(own_environment())
        screen.say("\n".join(NOTICE))
        stage = opened.enter_context(Stage(sandboxes))
        screen.say(f"Sandboxes of {', '.join(stage.server.names)} are on {stage.server.url}\n")
        opened.enter_context(screen)
        with suppress(Stopped):  # its last step says why
            STORIES[name].tell(script, stage)
    return Result(name, time.perf_counter() - started, script.steps)


def command(
    context: typer.Context,
    story: Annotated[
        str, typer.Argument(metavar="STORY", help="Which story: " + ", ".join(STORIES) + ".")
    ] = "payments",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """See orders, payouts, cards and trades run against sandboxes on this machine, every expectation checked.

    Reads no configuration and leaves nothing behind. Exit status 1 when something is not as expected; with --json the
    document says what, too.
    """
    output = session(context, config, as_json).output
    if story not in STORIES:
        misuse(f"there is no story {story!r}", hint="there are " + ", ".join(STORIES))
    screen: Screen
    if output.as_json:
        screen = Silence()
    elif output.on_terminal:
        screen = Terminal(Console(highlight=False))
    else:
        screen = PlainLines(output)
    result = play(story, screen)
    if output.as_json:
        output.document(result.to_dict())
    else:
        output.text("\n" + _summary(result), style="bold green" if result.ok else "bold red")
    if not result.ok:
        raise typer.Exit(1)


def _summary(result: Result) -> str:
    steps = f"{len(result.steps)} steps in {result.seconds:.1f} s"
    if result.ok:
        return f"{steps}, everything as expected."
    wrong = next((step for step in result.steps if not step.ok), None)
    if wrong is None:
        return "The story has no steps."
    return f"{steps}; not as expected: {wrong.name}. Later steps were not run."
