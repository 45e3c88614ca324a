"""Cassettes in place of a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.test_emirex import Emirex
from gateway.errors import ConfigurationError
from gateway.testing import Sandbox
from gateway.testing.conformance import RecordedSandbox, examine
from gateway.testing.sandbox import SandboxError

CASSETTES = Path(__file__).parents[2] / "cassettes" / "emirex" / "documented"
KEYS = {"kind": "signed", "public_key": "recorded-public-key", "secret": "recorded-secret-key"}


def recorded(*names: str) -> RecordedSandbox:
    paths = [CASSETTES / f"{name}.yaml" for name in names]
    return RecordedSandbox("emirex", paths, base_url="https://api.emirex.com/v1", settings={"auth": KEYS})


class Recorded(Emirex):
    name = "emirex (recorded)"

    def sandbox(self) -> Sandbox:
        return recorded("symbols", "ticker", "book", "trades")


def test_an_adapter_is_examined_against_recorded_answers() -> None:
    report = examine(Recorded, areas=["markets"])
    assert report.failures == []
    (subject,) = report.subjects
    states = {row.name: str(row.state) for row in subject.rows if row.name.startswith("markets.")}
    assert states == dict.fromkeys(("markets.list", "markets.ticker", "markets.book", "markets.trades"), "proved")


def test_what_was_not_recorded_is_not_there() -> None:
    class Less(Recorded):
        name = "emirex (less)"

        def sandbox(self) -> Sandbox:
            return recorded("symbols")

    report = examine(Less, areas=["markets"], checks=["test_it_works_and_gives_what_it_should"], colours=["sync"])
    assert {failure.operation for failure in report.failures} == {"markets.ticker", "markets.book", "markets.trades"}
    assert all("failed although nothing went wrong" in failure.message for failure in report.failures)


def test_nothing_can_be_done_to_a_recording() -> None:
    sandbox = recorded("ticker")
    assert sandbox.orders() == []
    for change in (sandbox.pay, sandbox.expire, sandbox.fail):
        with pytest.raises(SandboxError, match="keeps no orders"):
            change("1")


def test_what_is_no_cassette_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("interactions: [{request: 1}]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"broken\.yaml is no cassette"):
        RecordedSandbox("emirex", [path], base_url="https://api.emirex.com/v1", settings={})
