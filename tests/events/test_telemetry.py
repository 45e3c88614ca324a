"""Spans and measurements, as OpenTelemetry's own exporters in memory get them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from events.working import happen, shop
from gateway import Event, Money, OrderRequest
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.observation import Record
from gateway.telemetry import instrument
from support.colours import opened
from support.loopback import Loopback
from support.toy import KEY, account, answers, wrong
from support.virtual import START


class Telemetry:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(shutdown_on_exit=False), MeterProvider([self._reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def watch(self, gateway: Any) -> None:
        instrument(gateway, tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def measured(self) -> dict[tuple[str, frozenset[tuple[str, Any]]], tuple[int, float]]:
        """Count and sum, by the name and the attributes."""
        data = self._reader.get_metrics_data()
        return {
            (metric.name, frozenset(point.attributes.items())): (point.count, point.sum)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.close()


ORDER = OrderRequest(reference="cart-1001", price=Money("25", "USD"))


def test_operations_and_exchanges(colour: str, telemetry: Telemetry) -> None:
    with Loopback(app=answers) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        telemetry.watch(gw.raw)
        gw.orders.create(ORDER)
        server.plan(wrong("bad-request", f"you sent {KEY}"))
        with pytest.raises(InvalidRequest):
            gw.orders.get("cart-1001")
        gw.account("shop").request("GET", "/orders/secret-number-77")
    spans = telemetry.spans()
    assert [(span.name, span.kind.name, span.status.status_code.name) for span in spans] == [
        ("POST orders.create", "CLIENT", "UNSET"),
        ("orders.create", "INTERNAL", "UNSET"),
        ("GET orders.get", "CLIENT", "ERROR"),
        ("orders.get", "INTERNAL", "ERROR"),
        ("GET request", "CLIENT", "UNSET"),
        ("request", "INTERNAL", "UNSET"),
    ]
    assert dict(spans[0].attributes or {}) == {
        "gateway.operation": "orders.create",
        "gateway.outcome": "done",
        "gateway.account": "shop",
        "gateway.provider": "toy",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "gateway.attempt": 1,
    }
    assert (spans[3].attributes or {})["error.type"] == "InvalidRequest"
    for span in spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time < span.end_time
    measured = telemetry.measured()
    assert {name for name, _ in measured} == {"gateway.operation.duration", "gateway.exchange.duration"}
    assert sum(count for count, _ in measured.values()) == 6
    shown = repr([(span.to_json(), span.name) for span in spans]) + repr(measured)
    assert "CANARY" not in shown
    assert "secret-number-77" not in shown
    assert "cart-1001" not in shown


def test_deliveries(colour: str, telemetry: Telemetry) -> None:
    def mail(event: Event) -> None:
        if event.reference == "a":
            raise ConnectionError(f"could not send {KEY}")

    with shop(colour, accounts={"shop": account("https://toy.invalid")}) as worker:
        telemetry.watch(worker.gw.raw)
        worker.gw.raw.on("*", name="mail", tries=1)(mail)
        happen(worker, "paid a", "paid b")
        worker.work()
    found = {(span.attributes or {})["gateway.subject"]: span for span in telemetry.spans()}
    assert {subject: (span.name, span.kind.name, span.status.description) for subject, span in found.items()} == {
        "order a": ("delivery order.paid", "CONSUMER", "ConnectionError"),
        "order b": ("delivery order.paid", "CONSUMER", None),
    }
    measured = {dict(attributes)["gateway.outcome"]: dict(attributes) for _, attributes in telemetry.measured()}
    assert set(measured) == {"done", "dead"}
    assert measured["dead"]["error.type"] == "ConnectionError"
    assert measured["done"] == {
        "gateway.operation": "order.paid",
        "gateway.outcome": "done",
        "gateway.account": "shop",
        "gateway.provider": "toy",
        "gateway.handler": "mail",
    }
    assert "CANARY" not in repr([span.to_json() for span in telemetry.spans()])


def test_a_span_is_a_child_of_the_callers_own(colour: str, telemetry: Telemetry) -> None:
    with Loopback(app=answers) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        telemetry.watch(gw.raw)
        tracer = telemetry.tracers.get_tracer("shop")
        if gw.runner is None:
            with tracer.start_as_current_span("checkout"):
                gw.orders.create(ORDER)
        else:

            async def checkout() -> None:
                with tracer.start_as_current_span("checkout"):
                    await gw.raw.orders.create(ORDER)

            gw.runner.run(checkout())
    *inner, outer = telemetry.spans()
    assert [span.name for span in inner] == ["POST orders.create", "orders.create"]
    for span in inner:
        assert span.parent is not None
        assert span.parent.span_id == outer.context.span_id


@pytest.mark.parametrize("kind", ["callback", "poll", "job"])
def test_every_kind_of_record_has_a_span_and_a_measurement(kind: Any, telemetry: Telemetry) -> None:
    with opened("sync") as gw:
        telemetry.watch(gw.raw)
        gw.core.observe(
            Record(
                kind=kind,
                account="",
                provider="",
                operation="it",
                subject="order a",
                outcome="failed",
                error="StoreError",
                started_at=START,
                seconds=0.25,
            )
        )
    (span,) = telemetry.spans()
    assert (span.name, span.status.status_code.name) == (f"{kind} it", "ERROR")
    began = 1_748_779_200_000_000_000  # 2025-06-01 12:00 UTC
    assert (span.start_time, span.end_time) == (began, began + 250_000_000)
    assert list(telemetry.measured().items()) == [
        (
            (
                f"gateway.{kind}.duration",
                frozenset({"gateway.operation": "it", "gateway.outcome": "failed", "error.type": "StoreError"}.items()),
            ),
            (1, 0.25),
        )
    ]


@pytest.mark.parametrize("given", [{"telemetry": True}, {}], ids=["keyword", "environment"])
def test_the_setting(colour: str, given: dict[str, Any], telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the global providers, which here are these."""
    from opentelemetry import metrics

    get_tracer, get_meter = trace.get_tracer, metrics.get_meter
    monkeypatch.setattr(trace, "get_tracer", lambda name, version, given: get_tracer(name, version, telemetry.tracers))
    monkeypatch.setattr(metrics, "get_meter", lambda name, version, given: get_meter(name, version, telemetry.meters))
    if not given:
        monkeypatch.setenv("GATEWAY_TELEMETRY", "true")
    with shop(colour, **given) as worker:
        worker.gw.raw.on("*", name="mail")(lambda event: None)
        happen(worker, "paid a")
        worker.work()
    assert [span.name for span in telemetry.spans()] == ["delivery order.paid"]


def test_without_opentelemetry_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError) as error, opened("sync", telemetry=True):
        pass
    assert "crypto-gateway[telemetry]" in error.value.hint
