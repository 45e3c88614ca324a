"""What is shown to payer and merchant of an order is what the provider said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.assets import Asset
from gateway.exchange import decode_json
from gateway.money import plain
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.coins import are_named
from gateway.testing.conformance.suites.evidence import call_of
from gateway.testing.conformance.suites.table import supports
from gateway.testing.conformance.suites.times import is_the_time
from gateway.testing.conformance.tap import Exchange, as_number, leaves
from gateway.testing.conformance.units import on_wire
from gateway.testing.sandbox import SandboxError

__all__ = ["ShownSuite"]


def _is_order(call: Call) -> bool:
    return call.operation == "orders.create"


class ShownSuite(Suite):
    """Addresses, amounts and times of an order are the provider's."""

    turn = 6

    @check(over(_is_order, colours=[SYNC]))
    def test_the_payer_is_shown_what_the_provider_said(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        asked = call.request(play, call.prepare(play), play.new())
        made, said = _seen(bench, play, call.operation, lambda: call.sent and call.sent(play, asked))
        _is_as_said(bench, call.name, made, said)
        _is_as_asked(call.name, made, asked)
        are_named(bench, call.name, made, said, asked)
        if made.received is not None and made.received.amount != 0:
            fault(
                f"{call.name}: `received` is {made.received} before anybody paid",
                expected="None or 0: what has arrived, not what is asked for",
                look_at="which field of the answer `received` is read from",
            )
        if made.provider_id is None or not supports(bench.subject, "orders.get"):
            return
        read = _read(bench, play, asked.reference, made, asked)
        number = bench.subject.order_in_sandbox(made.provider_id)
        truth = next((one for one in bench.tapped.orders() if one.id == number), None)
        if truth is not None and truth.expires_at is not None:
            for name, order in ((call.name, made), ("orders.get", read)):
                is_the_time(name, "expires_at", order.expires_at, truth.expires_at)
        for how in ("exact", "under", "over"):
            if how in bench.subject.ends:
                again = call.request(play, call.prepare(play), play.new())
                assert call.sent is not None
                paid = call.sent(play, again)
                try:
                    play.pay(paid.provider_id, how)
                except SandboxError:
                    continue  # such an order cannot be paid so: a Lightning invoice is paid whole
                _is_received(how, _read(bench, play, again.reference, None, again))


# What was said


def _seen(bench: Bench, play: Play, operation: str, work: Any) -> tuple[Any, list[Exchange]]:
    """The adapter's own result of an operation, and what went over the wire for it."""
    play.watch.forget()
    before = len(bench.tapped.exchanges)
    work()
    runs = [run for run in play.watch.runs if run.operation == operation and run.done]
    if not runs:
        fault(f"{operation} was not carried out by the adapter", look_at="the sample of this row")
    return runs[-1].result, bench.tapped.exchanges[before:]


def _answers(exchanges: Iterable[Exchange]) -> Iterator[Any]:
    for exchange in exchanges:
        try:
            yield decode_json(exchange.answer)
        except ValueError:
            continue


def _read(bench: Bench, play: Play, reference: str, made: Any, asked: Any) -> Any:
    read, said = _seen(bench, play, "orders.get", lambda: play.gw.orders.get(reference))
    _is_as_said(bench, "orders.get", read, said)
    _is_as_asked("orders.get", read, asked)
    are_named(bench, "orders.get", read, said, asked)
    if made is not None:
        for name in ("address", "amount", "lightning_invoice"):
            before, after = getattr(made.pay, name), getattr(read.pay, name)
            if before is not None and after is not None and before != after:
                fault(
                    f"orders.get shows another pay.{name} than the order had when it was made",
                    expected=str(before),
                    found=str(after),
                )
    return read


def _is_as_said(bench: Bench, name: str, order: Any, said: list[Exchange]) -> None:
    told = [value for answer in _answers(said) for _, value in leaves(answer)]
    texts = [value for value in told if isinstance(value, str)]
    for field in ("address", "lightning_invoice"):
        shown = getattr(order.pay, field)
        if shown is not None and not any(shown in text for text in texts):
            fault(
                f"{name}: pay.{field} is {shown!r}, and the provider never said that",
                expected="a text of the provider's answer, unchanged: money goes there",
                found=", ".join(repr(text) for text in texts if len(text) > 12)[:400],
                look_at=f"where the adapter takes pay.{field} from",
            )
    numbers = {number for value in told if (number := as_number(value)) is not None}
    for field, amount in (("pay.amount", order.pay.amount), ("received", order.received)):
        if amount is None or amount.amount == 0:
            continue
        if not {amount.amount, on_wire(bench, amount, name)} & numbers:
            fault(
                f"{name}: {field} is {plain(amount.amount)}, and the provider never said that number",
                expected="a number of the provider's answer",
                look_at=f"where the adapter takes {field} from; where the provider writes whole numbers of a smallest "
                "unit, `units` of the Subject",
            )
        coin = order.pay_with
        if coin is not None and _is_on_another_network(coin, amount.asset):
            fault(
                f"{name}: {field} is in {amount.asset}, and the order is paid in {coin}",
                expected=str(coin),
                found=str(amount),
                look_at="how the coin of an amount is read",
            )


def _is_on_another_network(coin: Asset, other: Asset) -> bool:
    return coin.symbol == other.symbol and None not in (coin.network, other.network) and coin != other


def _is_as_asked(name: str, order: Any, asked: Any) -> None:
    for field, wanted in (("price", asked.price), ("pay_with", asked.pay_with)):
        shown = getattr(order, field)
        if shown is not None and wanted is not None and not _same(shown, wanted):
            fault(
                f"{name}: {field} is {shown}, and the order was made with {wanted}",
                expected=str(wanted),
                found=str(shown),
            )


def _same(shown: Any, wanted: Any) -> bool:
    if isinstance(wanted, Asset) and wanted.network is None:
        return bool(shown.symbol == wanted.symbol)
    return bool(shown == wanted)


def _is_received(how: str, order: Any) -> None:
    received, due = order.received, order.pay.amount
    if received is None or due is None or received.asset != due.asset:
        return
    held = {
        "exact": received.amount == due.amount,
        "under": 0 < received.amount < due.amount,
        "over": received.amount > due.amount,
    }
    if not held[how]:
        fault(
            f"orders.get: after `{how}` in the sandbox `received` is {received}, and pay.amount is {due}",
            expected={"exact": "the same", "under": "less than was asked for", "over": "more than was asked for"}[how],
            look_at="which fields of the answer `received` and pay.amount are read from",
        )
