"""What is shown to payer and merchant is what the provider said, every value in its own field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from gateway.assets import Asset
from gateway.exchange import decode_json
from gateway.models import Page, Wallet
from gateway.money import Money, plain
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.suites.evidence import call_of, raised_by, run_of
from gateway.testing.conformance.suites.table import supports
from gateway.testing.conformance.suites.times import is_the_time
from gateway.testing.conformance.tap import Exchange, as_number, leaves, replaced, written
from gateway.testing.sandbox import SandboxError

__all__ = ["ShownSuite"]

_BALANCES = ("available", "pending", "allocated", "total")
_SLIP = "the adapter failed at it with"
"""What the engine says of an exception that an adapter did not mean to raise."""
_NOBODYS_COIN = "QZXQ"


def _is_order(call: Call) -> bool:
    return call.operation == "orders.create"


def _has_fields(call: Call) -> bool:
    return call.operation == "wallets.list" or (call.operation.startswith("orders.") and not call.is_write)


class ShownSuite(Suite):
    """Addresses, amounts, balances, rows and times are the provider's."""

    turn = 6

    # Orders

    @check(over(_is_order, colours=[SYNC]))
    def test_the_payer_is_shown_what_the_provider_said(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        asked = call.request(play, call.prepare(play), play.new())
        made, said = _seen(bench, play, call.operation, lambda: call.sent and call.sent(play, asked))
        _is_as_said(call.name, made, said)
        _is_as_asked(call.name, made, asked)
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

    # Balances, and whatever else the Subject tells the place of

    @check(over(_has_fields, colours=[SYNC]))
    def test_every_amount_stands_in_its_own_field(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        fields = dict(bench.subject.fields.get(call.name) or bench.subject.fields.get(call.operation, {}))
        prepared = play.prepared(call)
        for item in _items(_result(play, call, prepared)):
            if isinstance(item, Wallet):
                _has_places(call, item, fields)
                _adds_up(call, item)
        if not fields:
            return
        values = {name: Decimal(1001) * number + Decimal("0.25") for number, name in enumerate(fields, 1)}
        if "total" in values:
            values["total"] = sum(values.values(), Decimal(0)) - (values["total"] if len(values) > 2 else 0)

        def change(body: bytes) -> bytes:
            try:
                data = decode_json(body)
            except ValueError:
                return body
            for name, place in fields.items():
                data = _set(data, tuple(place.split(".")), values[name])
            return written(data)

        with bench.rewriting(change):
            items = list(_items(_result(play, call, prepared)))
        for name, place in fields.items():
            shown = [amount for item in items if (amount := _field(item, name)) is not None]
            if not shown:
                fault(
                    f"{call.name}: no result has anything in `{name}`",
                    expected=f"what the answer has at {place}",
                    look_at="`fields` of the Subject: names joined by dots, * for every item of a list",
                )
            for amount in shown:
                if amount.amount != values[name]:
                    whose = next((other for other, value in values.items() if value == amount.amount), None)
                    fault(
                        f"{call.name}: `{name}` does not show what the answer has at {place}",
                        expected=plain(values[name]),
                        found=plain(amount.amount) + (f", which belongs to `{whose}`" if whose else ""),
                        look_at="which field of the answer it is read from",
                    )

    # Coins

    @check(over(colours=[SYNC]))
    def test_a_coin_nobody_knows_is_no_accident(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        prepared = play.prepared(call)
        before = len(bench.tapped.exchanges)
        raised = raised_by(lambda: call.make(play, prepared))
        if raised is not None:
            return  # told by the check that carries it out
        symbols = set(_symbols(run_of(play, call).result))
        for path in _coins_in(bench.tapped.exchanges[before:], symbols):
            prepared = play.prepared(call)
            with bench.rewriting(partial(_set_anew, path)):
                raised = raised_by(partial(call.make, play, prepared))
            if raised is not None and _SLIP in str(raised):
                fault(
                    f"{call.name}: a coin that nobody knows ({_NOBODYS_COIN!r} at {'.'.join(path)}) is an accident",
                    expected="the result with that coin (Asset.incoming), or Malformed: providers add coins",
                    found=str(raised)[:500],
                    look_at="tables of coins that are read with [...]",
                )


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


def _result(play: Play, call: Call, prepared: Any) -> Any:
    play.watch.forget()
    call.make(play, prepared)
    return run_of(play, call).result


def _answers(exchanges: Iterable[Exchange]) -> Iterator[Any]:
    for exchange in exchanges:
        try:
            yield decode_json(exchange.answer)
        except ValueError:
            continue


def _read(bench: Bench, play: Play, reference: str, made: Any, asked: Any) -> Any:
    read, said = _seen(bench, play, "orders.get", lambda: play.gw.orders.get(reference))
    _is_as_said("orders.get", read, said)
    _is_as_asked("orders.get", read, asked)
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


def _is_as_said(name: str, order: Any, said: list[Exchange]) -> None:
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
        if not {amount.amount, amount.amount.scaleb(amount.asset.decimals or 0)} & numbers:
            fault(
                f"{name}: {field} is {plain(amount.amount)}, and the provider never said that number",
                expected="a number of the provider's answer",
                look_at=f"where the adapter takes {field} from",
            )


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


# Fields


def _items(result: Any) -> Iterable[Any]:
    return result.items if isinstance(result, Page) else [result]


def _field(item: Any, name: str) -> Money | None:
    for part in name.split("."):
        item = getattr(item, part, None)
    return item if isinstance(item, Money) else None


def _has_places(call: Call, wallet: Wallet, fields: dict[str, str]) -> None:
    shown = [name for name in _BALANCES if getattr(wallet, name) is not None]
    missing = [name for name in shown if name not in fields]
    if len(shown) > 2 and missing == ["total"]:
        return  # it is the sum of the others
    if len(shown) > 1 and missing:
        fault(
            f"{call.name} shows {', '.join(shown)}, and the Subject does not say where {' and '.join(missing)} stand "
            "in the answer",
            expected=f'fields = {{"{call.operation}": {{"{missing[0]}": "where.*.it.stands", …}}}} in the Subject',
            look_at="the provider's documentation: two balances that are swapped look like any others",
        )


def _adds_up(call: Call, wallet: Wallet) -> None:
    parts = [one.amount for name in _BALANCES[:-1] if (one := getattr(wallet, name)) is not None]
    if wallet.total is not None and len(parts) > 1 and wallet.total.amount != sum(parts):
        fault(
            f"{call.name}: the total {plain(wallet.total.amount)} is not the sum of its parts",
            expected=plain(sum(parts, Decimal(0))),
            found=f"available {wallet.available}, pending {wallet.pending}, allocated {wallet.allocated}",
        )


def _set(data: Any, path: tuple[str, ...], number: Decimal) -> Any:
    """The data with this number at a place, written as what stands there: a text or a number."""
    if not path:
        return plain(number) if isinstance(data, str) else number
    if isinstance(data, dict) and path[0] in data:
        return {**data, path[0]: _set(data[path[0]], path[1:], number)}
    if isinstance(data, list) and path[0] == "*":
        return [_set(item, path[1:], number) for item in data]
    return data


# Coins


def _symbols(value: Any) -> Iterator[str]:
    if isinstance(value, Asset):
        yield value.symbol.lower()
    elif isinstance(value, Money):
        yield value.asset.symbol.lower()
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _symbols(item)
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield from _symbols(getattr(value, name))


def _coins_in(exchanges: Iterable[Exchange], symbols: set[str]) -> list[tuple[str, ...]]:
    """Places of the answers where the name of a coin stands, one for each field."""
    found = [
        tuple("*" if isinstance(part, int) else part for part in path)
        for answer in _answers(exchanges)
        for path, value in leaves(answer)
        if isinstance(value, str) and any(value.lower().startswith(one) for one in symbols) and len(value) <= 24
    ]
    return list(dict.fromkeys(found))


def _set_anew(path: tuple[str, ...], body: bytes) -> bytes:
    try:
        return written(replaced(decode_json(body), path, _NOBODYS_COIN))
    except ValueError:
        return body
