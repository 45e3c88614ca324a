"""The kit itself, on a small adapter that conforms and on some that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.acme import AcmeAdapter, data_of, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme, broken
from conformance.broken.sandboxes import Narrow
from gateway.contracts import NewWithdrawal, Query
from gateway.errors import MalformedResponse
from gateway.exchange import Operation, Request, ask
from gateway.models import Page, Wallet
from gateway.money import Money
from gateway.testing.conformance import Conformance, Report, examine
from gateway.testing.conformance.bench import Bench


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


def test_a_payout_is_not_taken_from_an_answer_about_another_one() -> None:
    with Bench(Acme()) as bench:
        play = bench.play()
        call = next(call for call in Acme().calls() if call.operation == "withdrawals.get")
        one, two = call.prepare(play), call.prepare(play)
        other = (one.provider_id.encode(), two.provider_id.encode())
        with (
            bench.rewriting(lambda body: body.replace(*other).replace(b'"open"', b'"done"')),
            pytest.raises(MalformedResponse, match=f"asked for the payout {one.provider_id}.* shows {two.provider_id}"),
        ):
            play.gw.withdrawals.get(one.reference)
        kept = play.gw.withdrawals.get(one.reference, refresh=False)
        assert (kept.provider_id, kept.status) == (one.provider_id, "pending")


def test_a_sandbox_may_allow_the_time_of_a_signature_a_few_seconds() -> None:
    """What the kit pauses for is not waited for, and must not be taken for a clock that is wrong."""
    narrow = broken(provider(), sandbox=lambda self: Narrow())
    checks = ["test_what_goes_wrong_on_the_way_is_told_as_it_is", "test_it_works_and_gives_what_it_should"]
    report = examine(narrow, checks=checks)
    assert [failure.message for failure in report.failures] == []


class Stumbles(AcmeAdapter):
    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        yield from super().list_wallets(query)
        raise KeyError("a coin that is not in the table")


def test_an_accident_is_told_with_its_place_and_without_the_engine() -> None:
    check = "test_every_amount_stands_in_its_own_field"
    report = examine(broken(provider(adapter=Stumbles)), checks=[check], colours=["sync"])
    (failure,) = [failure for failure in report.failures if failure.area == "wallets"]
    lines = failure.message.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("the gateway could not go on: MalformedResponse: main (acme) wallets.list")
    assert "test_acme.py" in lines[2]
    assert "(list_wallets)" in lines[2]


class BalancesInPages(AcmeSandbox):
    def _balances(self, request: Any, body: Any) -> object:
        page = int(request.query_params["page"])
        items: Any = super()._balances(request, body)
        return {"items": items["items"][page - 1 : page], "next": str(page + 1) if page < len(items["items"]) else None}


class ReadsBalancesInPages(AcmeAdapter):
    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        data = yield from ask(Request("GET", "/balances", query=(("page", query.cursor or "1"),)), data_of)
        return Page[Wallet](items=tuple(map(self.wallet, data["items"])), next=data["next"])


def test_balances_may_come_in_pages() -> None:
    subject = broken(provider(adapter=ReadsBalancesInPages), sandbox=lambda self: BalancesInPages())
    report = examine(subject, areas=["wallets"], colours=["sync"])
    assert [failure.message for failure in report.failures] == []


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
