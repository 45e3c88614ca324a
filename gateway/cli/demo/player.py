"""Telling one story from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from gateway.cli.demo.script import Script, Step, Stopped
from gateway.cli.demo.show import Screen
from gateway.cli.demo.stage import Stage, own_environment
from gateway.testing import Sandbox

__all__ = ["NOTICE", "Result", "play"]

NOTICE = (
    "The sandboxes in this demo are this project's own imitations of the providers, written from their documentation.",
    "Nothing leaves this machine, no real money is involved, and nothing here was checked against the live services.",
)


@dataclass(frozen=True)
class Result:
    seconds: float
    steps: Sequence[Step]

    @property
    def ok(self) -> bool:
        """A story without steps has shown nothing."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    def summary(self) -> str:
        steps = f"{len(self.steps)} steps in {self.seconds:.1f} s"
        wrong = [step.name for step in self.steps if not step.ok]
        if wrong:
            return f"{steps}; not as expected: {wrong[0]}. The steps after it were not run."
        return f"{steps}, everything as expected." if self.steps else "The story has no steps."

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "notice": " ".join(NOTICE),
            "seconds": round(self.seconds, 3),
            "steps": [step.to_dict() for step in self.steps],
        }


def play(teller: str, screen: Screen, sandboxes: Sequence[Sandbox] | None = None) -> Result:
    """Tell a story up to its end or the first step that is not as expected. `sandboxes` replaces the installed ones.

    Raises ConfigurationError when the sandboxes cannot be started.
    """
    started = time.perf_counter()
    module, _, function = teller.partition(":")
    tell: Callable[[Script, Stage], None] = getattr(import_module(module), function)
    script = Script(screen)
    with ExitStack() as opened:
        opened.enter_context(own_environment())
        screen.say("\n".join(NOTICE))
        stage = opened.enter_context(Stage(sandboxes))
        screen.say(f"Sandboxes of {', '.join(stage.server.names)} are on {stage.server.url}\n")
        opened.enter_context(screen)
        with suppress(Stopped):  # its last step says why
            tell(script, stage)
    return Result(time.perf_counter() - started, script.steps)
