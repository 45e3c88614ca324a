"""A refund is of the order and of the amount that were asked for, and shows what the provider said of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from gateway.assets import Asset
from gateway.errors import InvalidRequest, UnsupportedOperation
from gateway.exchange import decode_json
from gateway.money import Money, plain
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.places import sent_places
from gateway.testing.conformance.suites.evidence import call_of, raised_by
from gateway.testing.conformance.suites.table import supports
from gateway.testing.conformance.tap import Exchange, as_number, leaves
from gateway.testing.conformance.units import on_wire

__all__ = ["RefundingSuite"]


def _refunds(call: Call) -> bool:
    return call.operation == "refunds.create" and call.has_reference


class RefundingSuite(Suite):
    """Refunds go back to the one who paid, as much as was asked for."""

    turn = 6

    @check(over(_refunds, colours=[SYNC]))
    def test_a_refund_is_of_its_own_order(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        older, newer = call.prepare(play), call.prepare(play)
        first = _refunded(bench, play, call, older, newer)
        if supports(bench.subject, "orders.get"):
            seen = play.gw.orders.get(newer.reference)
            if str(seen.status) == "refunded":
                fault(
                    f"{call.name} of order {older.provider_id} refunded the order {newer.provider_id}, which is newer",
                    expected="NewRefund.order, the provider's number of the order that was asked for",
                    look_at="how the adapter finds the order that it refunds",
                )
        second = _refunded(bench, play, call, newer, older)
        if first.provider_id is not None and first.provider_id == second.provider_id:
            fault(
                f"{call.name}: the refunds of two orders have one number",
                expected="what the provider calls each of them, or None where it has no number for refunds",
                found=repr(first.provider_id),
                look_at="where the adapter takes provider_id of a refund from",
            )

    @check(over(_refunds, colours=[SYNC]))
    def test_a_part_that_is_refunded_is_the_part_that_was_asked_for(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        order = call.prepare(play)
        for part in _parts(order):
            asked = call.request(play, order, play.new()).model_copy(update={"amount": part})
            sent, raised = _sent(bench, play, call, asked)
            if not sent and isinstance(raised, (InvalidRequest, UnsupportedOperation)):
                continue  # it says that it cannot do this, and nothing left
            _left(bench, call, part, sent)
            return


def _refunded(bench: Bench, play: Play, call: Call, order: Any, another: Any) -> Any:
    """The adapter's own result of refunding this order, which was examined, as far as it can be told from another's."""
    assert call.request is not None
    asked = call.request(play, order, play.new())
    before = len(bench.tapped.exchanges)
    sent, raised = _sent(bench, play, call, asked)
    if raised is not None:
        fault(
            f"{call.name} failed although nothing went wrong: {type(raised).__name__}: {raised}",
            look_at="a second refund, of another order",
        )
    told = {str(value) for exchange in sent for value in sent_places(exchange).values()}
    if told & _names(bench, another) and not told & _names(bench, order):
        fault(
            f"{call.name} of order {order.provider_id} asked for the order {another.provider_id}",
            expected="NewRefund.order, the provider's number of the order that was asked for",
            found=", ".join(map(str, sent)),
            look_at="how the adapter finds the order that it refunds",
        )
    made = [run.result for run in play.watch.runs if run.operation == call.operation and run.done][-1]
    _is_as_said(bench, call.name, made, order, asked, bench.tapped.exchanges[before:])
    if supports(bench.subject, "refunds.get"):
        before = len(bench.tapped.exchanges)
        play.watch.forget()
        play.gw.refunds.get(asked.reference)
        for run in play.watch.runs:
            if run.operation == "refunds.get" and run.done:
                _is_as_said(bench, run.operation, run.result, order, asked, bench.tapped.exchanges[before:])
    return made


def _names(bench: Bench, order: Any) -> set[str]:
    return {order.provider_id, bench.subject.order_in_sandbox(order.provider_id)}


def _sent(bench: Bench, play: Play, call: Call, asked: Any) -> tuple[list[Exchange], BaseException | None]:
    """What the adapter's writes sent, and what was raised."""
    play.watch.forget()
    before = len(bench.tapped.exchanges)
    raised = raised_by(lambda: call.sent and call.sent(play, asked))
    runs = [run for run in play.watch.runs if run.operation == call.operation]
    places = {(one.method, bench.path_of(one)) for run in runs for one in run.requests if one.write}
    return [one for one in bench.tapped.exchanges[before:] if (one.method, one.path) in places], raised


# Parts


def _parts(order: Any) -> Iterator[Money]:
    """Half of what was paid, as the order's price has it, and as the payer paid it."""
    for money in (order.price, order.received, order.pay.amount):
        if money is not None and money.amount > 0:
            places = min(money.asset.decimals or 0, money.decimals + 1)
            half = (money.amount / 2).quantize(Decimal(1).scaleb(-places))
            yield Money(half, money.asset)


def _left(bench: Bench, call: Call, part: Money, sent: list[Exchange]) -> None:
    told = [value for exchange in sent for value in sent_places(exchange).values()]
    number = on_wire(bench, part, call.name)
    if number not in {as_number(value) for value in told}:
        fault(
            f"{call.name}: {part} of an order was to be refunded, and no such number left",
            expected=f"{plain(number)} in the body, the query or the path; or InvalidRequest before anything leaves, "
            "where whole orders alone are refunded",
            found=", ".join(map(str, sent)) or "nothing that says write=True",
            look_at="RefundRequest.amount: without it the whole order goes back",
        )
    if "amount.asset" in bench.subject.unsent.get(call.name, ()):
        return
    names = bench.subject.coins.get(str(part.asset), (part.asset.symbol,))
    if missing := [name for name in names if name not in map(str, told)]:
        fault(
            f"{call.name}: {part} of an order was to be refunded, and {missing[0]} did not leave",
            expected=f"what the provider calls {part.asset}; or InvalidRequest for amounts in it",
            found=", ".join(map(str, sent)),
            look_at="in what the provider counts a refund: where it has one coin for it, `unsent` of the Subject names "
            "amount.asset",
        )


# What is shown


def _is_as_said(bench: Bench, name: str, made: Any, order: Any, asked: Any, seen: list[Exchange]) -> None:
    shown = made.amount
    if shown is None:
        return
    told = list(_told(seen))
    paid = [money for money in (asked.amount, order.price, order.pay.amount, order.received) if money is not None]
    assets = [money.asset for money in paid] + ([order.pay_with] if order.pay_with is not None else [])
    names = {text.lower() for text in (*bench.subject.coins.get(shown.asset.code, ()), shown.asset.symbol)}
    if not any(_is_one(shown.asset, one) for one in assets) and not names & {str(value).lower() for value in told}:
        fault(
            f"{name} shows {shown}, and neither the order nor the answer is in {shown.asset}",
            expected=" or ".join(dict.fromkeys(map(str, assets))),
            look_at="where the adapter takes the coin of a refund from",
        )
    if on_wire(bench, shown, name) not in {as_number(value) for value in told} and shown not in paid:
        fault(
            f"{name} shows {shown}, and the provider never said that number",
            expected="a number of the provider's answer",
            found=", ".join(str(value) for value in told if as_number(value) is not None)[:300] or "no number",
            look_at="where the adapter takes the amount of a refund from",
        )
    for money in paid:
        if money is order.received and money.asset == shown.asset and shown.amount > money.amount:
            fault(
                f"{name} shows {shown}, and no more than {money} was received",
                look_at="where the adapter takes the amount of a refund from",
            )


def _is_one(one: Asset, other: Asset) -> bool:
    return one.satisfies(other) or other.satisfies(one)


def _told(seen: list[Exchange]) -> Iterator[Any]:
    for exchange in seen:
        try:
            answer = decode_json(exchange.answer)
        except ValueError:
            continue
        yield from (value for _, value in leaves(answer))
