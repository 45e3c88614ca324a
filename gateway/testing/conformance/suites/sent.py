"""What is asked for is what leaves: destination, amount and coin of a request as they stand on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.assets import Asset
from gateway.errors import InvalidRequest
from gateway.exchange import Request
from gateway.models import CardTopUp, CryptoAddress, LightningInvoice
from gateway.money import Money, plain
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.places import sent_places
from gateway.testing.conformance.suites.denominated import DenominatedSuite, names_the_network
from gateway.testing.conformance.suites.evidence import call_of, raised_by, said
from gateway.testing.conformance.suites.refunding import RefundingSuite
from gateway.testing.conformance.suites.repetition import RepetitionSuite
from gateway.testing.conformance.suites.unasked import UnaskedSuite
from gateway.testing.conformance.tap import Exchange, as_number
from gateway.testing.conformance.units import on_wire

__all__ = ["SentSuite"]

_MEMO = "730155"


def _moves_money(call: Call) -> bool:
    return call.operation in ("orders.create", "withdrawals.create", "cards.create") and call.has_reference


class SentSuite(DenominatedSuite, RepetitionSuite, RefundingSuite, UnaskedSuite):
    """What leaves is what was asked for."""

    turn = 6

    @check(over(_moves_money, colours=[SYNC]))
    def test_what_is_asked_for_is_what_leaves(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        asked = call.request(play, call.prepare(play), play.new())
        _left_as_asked(bench, play, call, asked)
        to = getattr(asked, "to", None)
        if isinstance(to, CryptoAddress) and to.memo is None:
            again = call.request(play, call.prepare(play), play.new())
            with_memo = again.model_copy(update={"to": CryptoAddress(to.address, memo=_MEMO)})
            _left_as_asked(bench, play, call, with_memo, refusable=True)


def _left_as_asked(bench: Bench, play: Play, call: Call, asked: Any, *, refusable: bool = False) -> None:
    play.watch.forget()
    before = len(bench.tapped.exchanges)
    raised = raised_by(lambda: call.sent and call.sent(play, asked))
    if raised is not None:
        if refusable and isinstance(raised, InvalidRequest) and not _writes(play, call):
            return  # it says that it cannot do this, and nothing left
        fault(
            f"{call.name} failed although nothing went wrong: {type(raised).__name__}: {raised}",
            found=f"memo {_MEMO}" if refusable else "",
            look_at="memos: what the provider has no field for is refused with InvalidRequest before anything leaves"
            if refusable
            else "the sample of this row",
        )
    places = {(one.method, bench.path_of(one)) for one in _writes(play, call)}
    sent = [one for one in bench.tapped.exchanges[before:] if (one.method, one.path) in places]
    if len(sent) > len(places):
        fault(
            f"{call.name} sent one write {len(sent)} times: {said(sent)}",
            expected="once: one reference is one order, one payout",
        )
    texts = [text for exchange in sent for text in _texts(exchange)]
    unsent = bench.subject.unsent.get(call.name, ())
    for part, wanted in _parts(bench, call, asked):
        if part in unsent:
            continue
        if isinstance(wanted, Money):
            _has_amount(bench, call, part, wanted, texts, sent)
        elif wanted not in texts and not (part == "to.invoice" and wanted.lower() in map(str.lower, texts)):
            fault(
                f"{call.name}: {part} was asked to be {wanted!r}, and no such text left",
                expected=f"{wanted} in the body or the path, unchanged",
                found=", ".join(map(str, sent)) or "nothing that says write=True",
                look_at="what the adapter makes of it; how the provider calls a coin is said in `coins` of the "
                "Subject, and what it does not take in `unsent`",
            )
    for part, asset in _assets(call, asked):
        if part in unsent or asset.code in bench.subject.coins or names_the_network(asset, texts):
            continue
        fault(
            f"{call.name}: {part} was asked to be {asset}, and nothing that left says over which network",
            expected=f"a field that names {asset.network}, or in the Subject what the provider calls {asset}",
            found=", ".join(map(str, sent)),
            look_at=f'coins = {{"{asset}": ("{asset.symbol}", "…")}} of the Subject: all that has to leave for it, '
            f'which is ("{asset.symbol}",) where the documentation has one network alone',
        )


def _assets(call: Call, asked: Any) -> Iterator[tuple[str, Asset]]:
    for name in call.amounts:
        yield f"{name}.asset", getattr(asked, name).asset
    if getattr(asked, "pay_with", None) is not None:
        yield "pay_with", asked.pay_with


def _parts(bench: Bench, call: Call, asked: Any) -> Iterator[tuple[str, Any]]:
    """What has to stand on the wire, and the name of the field that says so."""
    to = getattr(asked, "to", None)
    if isinstance(to, CryptoAddress):
        yield "to.address", to.address
        if to.memo is not None:
            yield "to.memo", to.memo
    elif isinstance(to, LightningInvoice):
        yield "to.invoice", to.invoice
    elif isinstance(to, CardTopUp):
        yield "to.card", to.card
    for name in call.amounts:
        amount = getattr(asked, name)
        yield name, amount
        for text in _called(bench, amount.asset):
            yield f"{name}.asset", text
    pay_with = getattr(asked, "pay_with", None)
    if pay_with is not None:
        for text in _called(bench, pay_with):
            yield "pay_with", text


def _called(bench: Bench, asset: Asset) -> tuple[str, ...]:
    """What the provider calls an asset; its symbol where the Subject says nothing."""
    return bench.subject.coins.get(str(asset), (asset.symbol,))


def _texts(exchange: Exchange) -> list[str]:
    """Every text and number of a request's body, its query and its path."""
    return [str(value) for value in sent_places(exchange).values()]


def _has_amount(bench: Bench, call: Call, part: str, wanted: Money, texts: list[str], sent: list[Exchange]) -> None:
    number = on_wire(bench, wanted, call.name)
    if number not in {as_number(text) for text in texts}:
        fault(
            f"{call.name}: {part} was asked to be {plain(number)}, and no such number left",
            expected=f"{plain(number)} in the body, the query or the path",
            found=", ".join(map(str, sent)) or "nothing that says write=True",
            look_at="how the body is made; where the provider counts in a smallest unit, `units` of the Subject says "
            "how many places it has",
        )


def _writes(play: Play, call: Call) -> list[Request]:
    runs = [run for run in play.watch.runs if run.operation == call.operation]
    return [one for run in runs for one in run.requests if one.write]
