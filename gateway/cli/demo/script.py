"""Steps with expectations that are really checked: what every story is told in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from gateway.errors import GatewayError

__all__ = ["Audience", "Script", "Step", "Stopped"]

T = TypeVar("T")
E = TypeVar("E", bound=GatewayError)


class _Unexpected(Exception):
    """Something is not as the step expects."""

    def __init__(self, what: str, expected: object, got: object) -> None:
        super().__init__(what)
        self.expected = f"{what}: {expected}"
        self.got = f"{what}: {got}"


class Stopped(Exception):
    """A step was not as expected, so the story ends: later steps build on it. The step says what was wrong."""


class Audience(Protocol):
    """Whoever watches a story."""

    def began(self, step: Step) -> None: ...

    def ended(self, step: Step) -> None: ...

    def show_payment(self, uri: str, caption: str) -> None:
        """Something for a payer's phone."""


@dataclass(kw_only=True)
class Step:
    """One line of a story. Inside `with`, checks raise what ends the step and the story; nothing else escapes."""

    name: str
    expected: str
    audience: Audience
    account: str | None = None
    provider: str | None = None
    operation: str | None = None
    got: str = ""
    ok: bool = False
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)
    table: list[dict[str, str]] = field(default_factory=list)
    """What is shown below the line, if anything: rows with the same titles."""

    def check(self, what: str, got: object, expected: object) -> None:
        """End the story unless these two are equal."""
        if got != expected:
            raise _Unexpected(what, expected, got)

    def holds(self, what: str, truth: bool, got: object = "it is not so") -> None:
        """End the story unless this is so."""
        if not truth:
            raise _Unexpected(what, "so", got)

    def present(self, what: str, value: T | None) -> T:
        """End the story unless there is a value."""
        if value is None:
            raise _Unexpected(what, "there", "missing")
        return value

    def raises(self, kind: type[E], call: Callable[[], object]) -> E:
        """End the story unless the call raises exactly this kind of error."""
        try:
            result = call()
        except GatewayError as error:
            if type(error) is kind:
                return error
            raise _Unexpected("the call raises", kind.__name__, f"{type(error).__name__}: {error}") from error
        raise _Unexpected("the call raises", kind.__name__, f"nothing; it returned a {type(result).__name__}")

    def to_dict(self) -> dict[str, Any]:
        below: dict[str, Any] = {"table": self.table} if self.table else {}
        return {
            "name": self.name,
            "account": self.account,
            "provider": self.provider,
            "operation": self.operation,
            "ok": self.ok,
            "expected": self.expected,
            "got": self.got,
            "seconds": round(self.seconds, 3),
            "log": self.log,
            **below,
        }

    def __enter__(self) -> Self:
        self._handler = _Listener(self.log)
        self._started = time.perf_counter()
        logging.getLogger("gateway").addHandler(self._handler)
        self.audience.began(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        logging.getLogger("gateway").removeHandler(self._handler)
        if isinstance(error, _Unexpected):
            self.expected, self.got = error.expected, error.got
        elif isinstance(error, Exception):
            self.got = f"{type(error).__name__}: {error}"
        elif error is not None:  # interrupted: not an outcome of the step
            return
        self.ok = error is None
        self.audience.ended(self)
        if error is not None:
            raise Stopped(self.name) from error


class _Listener(logging.Handler):
    """Keeps what the library logs with the step that it belongs to, instead of in the middle of a table."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


class Script:
    """The steps of one story, in the order in which they happen."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self.steps: list[Step] = []

    def step(
        self,
        name: str,
        *,
        expect: str,
        account: str | None = None,
        provider: str | None = None,
        operation: str | None = None,
    ) -> Step:
        """The next step; use it inside `with`. `expect` says in words what the checks inside require."""
        step = Step(
            name=name,
            expected=expect,
            audience=self._audience,
            account=account,
            provider=provider,
            operation=operation,
        )
        self.steps.append(step)
        return step

    def show_payment(self, uri: str, caption: str) -> None:
        self._audience.show_payment(uri, caption)
