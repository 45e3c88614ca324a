"""OpenTelemetry: a span and a measurement of everything that ends. The extra `telemetry`.

    from gateway.telemetry import instrument

    instrument(gw)                                  # or `telemetry = true` in the configuration

Names and the attributes of measurements are of few values: no reference, no provider's number, no path. What a span is
about stands in its attributes. Neither holds a secret: they are made of what observers are told.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway._version import __version__
from gateway.capabilities import OPERATIONS
from gateway.errors import ConfigurationError
from gateway.models.events import EVENT_TYPES

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from gateway.aio import AsyncGateway
    from gateway.api import Gateway
    from gateway.observation import Record

__all__ = ["instrument"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The buckets: from what the store alone does to what a deadline allows."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATIONS = {
    "operation": "One operation of a provider, with its repetitions",
    "exchange": "One HTTP request and its answer",
    "callback": "One callback received or processed",
    "poll": "One look of the watcher at a provider",
    "delivery": "One call of an event handler",
    "job": "One job of a worker",
}


def instrument(
    gateway: Gateway | AsyncGateway,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Have spans and measurements made of what this gateway does; by the global providers, unless they are given.

    Spans are children of the caller's own. Calling it twice makes each twice. Raises ConfigurationError when
    OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError:
        raise ConfigurationError(
            "OpenTelemetry is not installed", hint="pip install 'crypto-gateway[telemetry]'"
        ) from None
    tracer = trace.get_tracer("gateway", __version__, tracer_provider)
    meter = metrics.get_meter("gateway", __version__, meter_provider)
    durations = {
        kind: meter.create_histogram(
            f"gateway.{kind}.duration", unit="s", description=words, explicit_bucket_boundaries_advisory=SECONDS
        )
        for kind, words in _DURATIONS.items()
    }
    kinds = {"exchange": trace.SpanKind.CLIENT, "delivery": trace.SpanKind.CONSUMER}

    def observe(record: Record) -> None:
        few = _attributes(record)
        began = (record.started_at - _EPOCH) // timedelta(microseconds=1) * 1000
        span = tracer.start_span(
            _name(record),
            kind=kinds.get(record.kind, trace.SpanKind.INTERNAL),
            attributes={**few, **_particulars(record)},
            start_time=began,
        )
        if record.error is not None or record.outcome != "done":
            span.set_status(trace.StatusCode.ERROR, record.error or record.outcome)
        durations[record.kind].record(record.seconds, few, trace.set_span_in_context(span))
        span.end(began + int(record.seconds * 1e9))

    gateway.observe(observe)


def _name(record: Record) -> str:
    operation = _operation(record)
    if record.kind == "operation":
        return operation
    return f"{record.method} {operation}" if record.kind == "exchange" else f"{record.kind} {operation}"


def _operation(record: Record) -> str:
    """What was done, as one of a few words. A call of `account().request` is named by its path, which is any text."""
    if record.kind in ("operation", "exchange"):
        return record.operation if record.operation in OPERATIONS else "request"
    if record.kind == "delivery":
        return record.operation if record.operation in EVENT_TYPES else "event"
    return record.operation


def _attributes(record: Record) -> dict[str, Any]:
    """What a measurement is told apart by."""
    found = {
        "gateway.operation": _operation(record),
        "gateway.outcome": record.outcome,
        "gateway.account": record.account or None,
        "gateway.provider": record.provider or None,
        "gateway.handler": record.handler,
        "http.request.method": record.method,
        "http.response.status_code": record.status,
        "error.type": record.error,
    }
    return {name: value for name, value in found.items() if value is not None}


def _particulars(record: Record) -> dict[str, Any]:
    """What a span says besides."""
    found: dict[str, Any] = {"gateway.attempt": record.attempt}
    if record.subject is not None:
        found["gateway.subject"] = record.subject
    return found
