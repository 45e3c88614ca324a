"""The kit itself, on a small adapter that conforms and on some that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.acme import AcmeAdapter, provider
from conformance.acme_subject import Acme, broken
from gateway.contracts import NewWithdrawal
from gateway.exchange import Request
from gateway.money import Money
from gateway.testing.conformance import Conformance, Report, examine


class TestAcme(Conformance):
    subject = Acme


class Rounds(AcmeAdapter):
    def money(self, amount: Any, coin: str) -> Money:
        return Money(str(float(amount)), coin)


class RepeatsPayouts(AcmeAdapter):
    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        made = super().new_payout(withdrawal)
        return Request(made.method, made.path, json=made.json)


class WritesInScience(AcmeAdapter):
    def new_payout(self, withdrawal: NewWithdrawal) -> Request:
        made = super().new_payout(withdrawal)
        amount = str(withdrawal.request.amount.amount)
        return Request("POST", made.path, json={**made.json, "amount": amount}, write=True)


@pytest.mark.parametrize(
    "adapter, words",
    [
        (Rounds, "loses digits"),
        (RepeatsPayouts, "no request of it says write=True"),
        (WritesInScience, "amount = 100 left as amount = 1E+2"),
    ],
)
def test_a_broken_adapter_is_told_what_is_wrong(adapter: Callable[..., AcmeAdapter], words: str) -> None:
    report = examine(broken(provider(adapter=adapter)), colours=["sync"], until_failure=True)
    assert not report.conforms
    assert not report.complete
    assert words in report.failures[0].message


def test_a_report_says_what_was_proved_row_by_row(tmp_path: Path) -> None:
    report = examine(Acme, checks=["test_it_works_and_gives_what_it_should"])
    report.write(tmp_path / "report.json")
    data = Report.read(tmp_path / "report.json")
    assert json.loads(json.dumps(report.to_dict())) == data
    (subject,) = data["subjects"]
    states = {(row["operation"], row["variant"]): row["state"] for row in subject["rows"]}
    assert states["orders.create", "coin"] == "partly examined"
    assert states["callbacks.receive", ""] == "not exercised"
    assert states["markets.list", ""] == "not offered"
    assert {row["operation"]: row["state"] for row in subject["areas"]}["settings"] == "not exercised"
    assert (data["complete"], data["conforms"]) == (False, False)
