"""A net for secrets: everything that a gateway says, shows, keeps or hands out falls into it, and is looked through for
canaries at the end.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, quote_plus

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, ValidationError

from gateway.exchange import Response
from gateway.telemetry import instrument

__all__ = ["STEM", "Leak", "Net", "canary", "written"]

STEM = "CANARY-OF-THE-TESTS-"
"""How each begins, so that one that was cut off is found as well."""
ENDING = "+7/x=Q~%41"
"""What percent-encoding, JSON and Base64 each write differently; and it can stand in a header."""


def canary(what: str) -> str:
    """A secret that stands nowhere by accident."""
    return f"{STEM}{what.replace(' ', '-')}-{ENDING}"


def written(secret: str) -> set[bytes]:
    """The ways in which a program writes it by accident."""
    texts = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    texts |= {json.dumps(secret)[1:-1].replace("/", "\\/"), repr(secret)[1:-1], secret.encode().hex()}
    # Inside of something longer, Base64 begins at one of three places; the ends belong to the neighbours.
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + secret.encode()).decode()
        texts |= {part[4:-4] for part in (whole, whole.replace("+", "-").replace("/", "_"))}
    return {form for text in texts for form in (text.encode(), text.encode("utf-16-le"))}


class Leak(AssertionError):
    """A canary was seen."""


class Net:
    """Use it inside `with`; leaving it looks through all that was caught. `canaries` are told apart by their names."""

    def __init__(self, canaries: dict[str, str] | None = None) -> None:
        self.canaries = dict(canaries or {})
        self.caught: list[tuple[str, bytes]] = []
        self.errors: list[BaseException] = []
        self._logged = io.StringIO()
        self._records: list[Any] = []
        self._spans, self._measured = InMemorySpanExporter(), InMemoryMetricReader()
        self._tracers, self._meters = TracerProvider(shutdown_on_exit=False), MeterProvider([self._measured])
        self._tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(_everything_logged(self._logged))
        self._stack.callback(self._meters.shutdown)
        self._stack.callback(self._tracers.shutdown)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                self.check()

    def new(self, what: str) -> str:
        """A further canary."""
        self.canaries[what] = canary(what)
        return self.canaries[what]

    def watch(self, gateway: Any) -> None:
        """All that this gateway tells observers, and its spans and measurements."""
        gateway.observe(self._records.append)
        instrument(gateway, tracer_provider=self._tracers, meter_provider=self._meters)

    def take(self, where: str, text: str | bytes) -> None:
        self.caught.append((where, text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")))

    def show(self, where: str, value: Any) -> None:
        """A value in every way in which it is usually shown or handed on. What a merchant's own request is answered
        with is his to read, and so to keep: it only must not show itself.
        """
        for item in value if isinstance(value, (list, tuple)) else (value,):
            for text in _shown(item):
                self.take(where, text)
            for pickled in () if isinstance(item, Response) else _pickled(item):
                self.take(f"{where}, pickled", pickled)

    def error(self, where: str, error: BaseException) -> None:
        """An error with its causes, its notes and its traceback, and as data."""
        self.errors.append(error)
        self.take(f"the traceback of {where}", "".join(traceback.format_exception(error)))
        for one in _family(error):
            self.take(f"an exception of {where}", f"{one!r}\n{one}\n{one.args!r}\n{vars(one)!r}")
            if isinstance(one, ValidationError) and one is not error:
                self.take(f"what is wrong in an exception of {where}", repr(one.errors()))
            to_dict = getattr(one, "to_dict", None)
            if callable(to_dict):
                self.take(f"an exception of {where} as data", json.dumps(to_dict(), default=str))
            for pickled in _pickled(one):
                self.take(f"an exception of {where}, pickled", pickled)

    def call(self, where: str, call: Callable[[], Any]) -> Any:
        """What the call returns, shown; None when it raises, and then that is shown."""
        try:
            value = call()
        except Exception as error:
            self.error(where, error)
            return None
        self.show(where, value)
        return value

    def files(self, folder: Path, *, only: str = "*") -> None:
        """Every file in the folder."""
        found = [file for file in sorted(folder.rglob(only)) if file.is_file()]
        assert found, f"nothing is in {folder}"
        for file in found:
            self.take(f"the file {file.name}", file.read_bytes())

    def check(self) -> None:
        """Raises Leak."""
        assert self.canaries, "there is nothing to look for"
        self.take("the logs", self._logged.getvalue())
        for record in self._records:
            self.show("what observers are told", record)
        for span in self._spans.get_finished_spans():
            self.take("the spans", str(span.to_json()))
        data = self._measured.get_metrics_data()
        self.take("the measurements", data.to_json() if data is not None else "")
        everything = b"\n".join({text for _, text in self.caught})
        looked_for = {what: secret for what, secret in self.canaries.items() if not secret.startswith(STEM)}
        if any(form in everything for form in written(STEM)):
            looked_for = {**self.canaries, "a part of one": STEM}
        found = {
            f"{what} is in {where}": _around(text, form)
            for what, secret in looked_for.items()
            for form in written(secret)
            if form in everything
            for where, text in self.caught
            if form in text
        }
        if found:
            raise Leak("\n".join(f"{place}: {text}" for place, text in list(found.items())[:40]))


def _shown(value: Any) -> Iterator[str]:
    yield repr(value)
    yield f"{value} {value!s} {value:}" if type(value).__format__ is not object.__format__ else str(value)
    if isinstance(value, BaseModel):
        yield value.model_dump_json()
        yield repr(value.model_dump())
        yield repr(value.model_dump(mode="json"))
    with contextlib.suppress(TypeError, ValueError):
        yield json.dumps(value, default=str)


def _pickled(value: Any) -> Iterator[bytes]:
    if isinstance(value, ValidationError):
        return  # it keeps its input, whatever its model says; its text is what is shown
    for protocol in (0, pickle.HIGHEST_PROTOCOL):
        with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
            yield pickle.dumps(value, protocol)


def _family(error: BaseException) -> Iterable[BaseException]:
    """The error, its causes, what was dealt with when it was raised and what these are made of, each once."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__]  # also where `from None` hides it: reporters go on to it
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return found


def _around(text: bytes, form: bytes) -> str:
    at = text.index(form)
    return repr(text[max(0, at - 60) : at + len(form) + 20])


@contextlib.contextmanager
def _everything_logged(said: io.StringIO) -> Iterator[None]:
    """All that any logger of this process says, down to DEBUG, and whatever a handler could take from its records."""

    class Whole(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.write(f"{self.format(record)}\n{vars(record)!r}\n")

    handler = Whole()
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    known = [logging.getLogger(), *(logging.getLogger(name) for name in logging.Logger.manager.loggerDict)]
    before = [(logger, logger.level, logger.propagate) for logger in known]
    logging.getLogger().addHandler(handler)
    for logger in known:
        logger.setLevel(logging.DEBUG)
        logger.propagate = True
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate
