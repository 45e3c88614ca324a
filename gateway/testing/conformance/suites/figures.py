"""Every amount of a result is the number that stands in its own field of the answer, in the coin that stands there; a
fee is a fee, and a hash is a hash.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gateway.exchange import decode_json
from gateway.models import Page, Wallet
from gateway.money import Money, plain
from gateway.testing.conformance.bench import Bench, Play, supported
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.subject import Subject
from gateway.testing.conformance.suites.coins import names, texts_in
from gateway.testing.conformance.suites.evidence import LISTS, call_of, raised_by, run_of
from gateway.testing.conformance.tap import Exchange, as_number, leaves, replaced, written
from gateway.testing.conformance.units import from_wire, on_wire
from gateway.testing.sandbox import SandboxError

__all__ = ["FiguresSuite"]

_BALANCES = ("available", "pending", "allocated", "total")


_WITH_FEES = ("orders.get", "orders.list", "withdrawals.create", "withdrawals.get", "withdrawals.list")
_SHORTEST_HASH = 32
_SOME_HASH = "c0ffee" * 10 + "abcd"


def _has_fees(call: Call) -> bool:
    return call.operation in (*_WITH_FEES, "transactions.list")


def _has_fields(subject: Subject, call: Call) -> Iterator[tuple[str, Any]]:
    said = subject.fields.get(call.name) or subject.fields.get(call.operation, {})
    if said or call.operation == "wallets.list":
        yield "", dict(said)


class FiguresSuite(Suite):
    """Balances, and whatever else the Subject tells the place of."""

    turn = 6

    @check(over(colours=[SYNC], what=_has_fields))
    def test_every_amount_stands_in_its_own_field(self, bench: Bench, case: Case) -> None:
        play, call, fields = bench.play(SYNC), call_of(case), case.what
        prepared = play.prepared(call)
        for item in _items(play, call, prepared):
            if isinstance(item, Wallet):
                _has_places(call, item, fields)
                _adds_up(call, item)
        if not fields:
            return
        put = _Put(fields, row=call.name, whole=bool(bench.subject.units))
        with bench.rewriting(put.change):
            items = list(_items(play, call, prepared))
        for name, place in fields.items():
            shown = [amount for item in items if (amount := _field(item, name)) is not None]
            if not shown:
                fault(
                    f"{call.name}: no result has anything in `{name}`",
                    expected=f"what the answer has at {place}",
                    look_at="`fields` of the Subject: names joined by dots, * for every item of a list",
                )
            for amount in shown:
                _is_what_stands_there(bench, call, put, name, amount)
        if call.operation in LISTS:
            with bench.rewriting(put.change):
                items += [item for other in _variants(bench, call) for item in _items(play, other, prepared)]
            for name in fields:
                _all_are_shown(bench, call, put, name, items)

    @check(over(_has_fees, colours=[SYNC]))
    def test_fees_and_hashes_are_not_something_else(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        prepared = call.prepare(play)
        if call.operation == "orders.get":
            with contextlib.suppress(SandboxError):
                play.pay(prepared.provider_id)  # what was paid has hashes, and perhaps fees
        before = len(bench.tapped.exchanges)
        play.watch.forget()
        if raised_by(lambda: call.make(play, prepared)) is not None:
            return  # told by the check that carries it out
        seen = bench.tapped.exchanges[before:]
        for run in play.watch.runs:
            for item in _items_of(run.result) if run.operation == call.operation else ():
                _hashes_are_no_numbers(call, item)
                _fees_stand_somewhere_else(bench, call, item, seen)
        if not call.is_write and call.operation not in LISTS:
            _a_hash_becomes_a_hash(bench, play, call, prepared, seen)


@dataclass
class _Place:
    """One number that was put into an answer, and the texts around it: those of its own item of a list."""

    number: Decimal
    texts: tuple[str, ...]


@dataclass
class _Put:
    """Puts another number into every place of the fields. `whole`: the provider writes whole numbers."""

    fields: dict[str, str]
    row: str
    whole: bool
    places: dict[str, list[_Place]] = field(default_factory=dict)
    _known: dict[bytes, bytes] = field(default_factory=dict)

    def change(self, body: bytes) -> bytes:
        if body not in self._known:  # what is asked for again has the same numbers again
            data = _decoded(body)
            if data is None:
                return body
            for name, place in self.fields.items():
                data = self._set(data, tuple(place.split(".")), name, data, ())
            self._known[body] = written(data)
        return self._known[body]

    def _set(self, data: Any, path: tuple[str, ...], name: str, around: Any, keys: tuple[str, ...]) -> Any:
        if not path:
            places = self.places.setdefault(name, [])
            number = self._number(name, len(places))
            places.append(_Place(number, (*keys, *texts_in(around))))
            return plain(number) if isinstance(data, str) else number
        if isinstance(data, dict) and path[0] in data:
            return {**data, path[0]: self._set(data[path[0]], path[1:], name, around, keys)}
        if path[0] == "*" and isinstance(data, list):
            return [self._set(item, path[1:], name, item, ()) for item in data]
        if path[0] == "*" and isinstance(data, dict):
            return {key: self._set(item, path[1:], name, item, (key,)) for key, item in data.items()}
        return data

    def _number(self, name: str, index: int) -> Decimal:
        """Another one for each name and item. A total is the sum of the others."""
        if name == "total" and len(self.fields) > 2:
            return sum((self._number(other, index) for other in self.fields if other != name), Decimal(0))
        number = Decimal(1001) * (1 + list(self.fields).index(name)) + 100_000 * index
        return number if self.whole else number + Decimal("0.25")

    def whose(self, bench: Bench, amount: Money) -> str | None:
        found = (
            name for name, places in self.places.items() for one in places if _stands_for(bench, self.row, one, amount)
        )
        return next(found, None)


def _stands_for(bench: Bench, row: str, place: _Place, amount: Money) -> bool:
    return from_wire(bench, place.number, amount.asset, row).amount == amount.amount


def _is_what_stands_there(bench: Bench, call: Call, put: _Put, name: str, amount: Money) -> None:
    place = next((one for one in put.places.get(name, []) if _stands_for(bench, call.name, one, amount)), None)
    if place is None:
        stand = (from_wire(bench, one.number, amount.asset, call.name) for one in put.places.get(name, []))
        there = ", ".join(plain(money.amount) for money in stand)
        whose = put.whose(bench, amount)
        fault(
            f"{call.name}: `{name}` does not show what the answer has at {put.fields[name]}",
            expected=there[:200],
            found=plain(amount.amount) + (f", which belongs to `{whose}`" if whose else ""),
            look_at="which field of the answer it is read from; where the provider writes whole numbers of a smallest "
            "unit, `units` of the Subject",
        )
    if names(bench.subject, place.texts, amount.asset) is False:
        fault(
            f"{call.name}: `{name}` shows {amount}, and what stands there is not in {amount.asset}",
            expected="the coin that the answer names beside the number",
            found=", ".join(map(repr, dict.fromkeys(place.texts)))[:300],
            look_at="how the coin is read; `coins` of the Subject says what the provider calls an asset",
        )


def _all_are_shown(bench: Bench, call: Call, put: _Put, name: str, items: list[Any]) -> None:
    shown = [amount for item in items if (amount := _field(item, name)) is not None]
    for number, place in enumerate(put.places.get(name, []), 1):
        if not any(_stands_for(bench, call.name, place, amount) for amount in shown):
            fault(
                f"{call.name} leaves out what the answer has at {put.fields[name]}, in row {number} of "
                f"{len(put.places.get(name, []))}",
                expected=f"`{name}` of every row",
                found=", ".join(map(repr, dict.fromkeys(place.texts)))[:300],
                look_at="filters in the adapter's list",
            )


def _variants(bench: Bench, call: Call) -> list[Call]:
    """Other rows of the table that read the same list: each may show a part of it."""
    declared = {(row.operation, row.variant) for row in supported(bench.subject)}
    return [
        other
        for other in bench.subject.calls()
        if other.operation == call.operation and (other.operation, other.variant) in declared
    ]


def _items(play: Play, call: Call, prepared: Any) -> Iterator[Any]:
    """What the adapter makes of this call, the rows of every page of a list."""
    play.watch.forget()
    call.make(play, prepared)
    for run in play.watch.runs:
        if run.operation == call.operation:
            yield from _items_of(run.result)


def _items_of(result: Any) -> Iterable[Any]:
    return result.items if isinstance(result, Page) else [result]


def _field(item: Any, name: str) -> Money | None:
    for part in name.split("."):
        if part.isdecimal() and isinstance(item, tuple):
            item = item[int(part)] if int(part) < len(item) else None
        else:
            item = getattr(item, part, None)
    return item if isinstance(item, Money) else None


def _has_places(call: Call, wallet: Wallet, fields: dict[str, str]) -> None:
    shown = [name for name in _BALANCES if getattr(wallet, name) is not None]
    missing = [name for name in shown if name not in fields]
    if len(shown) > 2 and missing == ["total"]:
        return  # it is the sum of the others
    if missing and (len(shown) > 1 or _has_several(wallet)):
        fault(
            f"{call.name} shows {', '.join(shown)}, and the Subject does not say where {' and '.join(missing)} stand "
            "in the answer",
            expected=f'fields = {{"{call.operation}": {{"{missing[0]}": "where.*.it.stands", …}}}} in the Subject',
            look_at="the provider's documentation: two balances that are swapped look like any others",
        )


def _has_several(wallet: Wallet) -> bool:
    """Whether the answer has more numbers than one for it, which could be taken for each other."""
    found = [path for path, value in leaves(dict(wallet.raw)) if as_number(value) is not None]
    return len([path for path in found if path and "id" not in str(path[-1]).lower()]) > 1


def _adds_up(call: Call, wallet: Wallet) -> None:
    parts = [one.amount for name in _BALANCES[:-1] if (one := getattr(wallet, name)) is not None]
    if wallet.total is not None and len(parts) > 1 and wallet.total.amount != sum(parts):
        fault(
            f"{call.name}: the total {plain(wallet.total.amount)} is not the sum of its parts",
            expected=plain(sum(parts, Decimal(0))),
            found=f"available {wallet.available}, pending {wallet.pending}, allocated {wallet.allocated}",
        )


# Fees and hashes


def _hashes_are_no_numbers(call: Call, item: Any) -> None:
    numbers = {getattr(item, name, None) for name in ("provider_id", "order_id", "attempt")}
    for name in ("transactions", "hashes"):
        for text in getattr(item, name, ()):
            if text in numbers and len(text) < _SHORTEST_HASH:
                fault(
                    f"{call.name}: `{name}` shows {text}, the provider's own number",
                    expected="hashes of payments on the chain, by which anybody finds them there; none where it is "
                    "not told",
                    look_at=f"which field of the answer `{name}` is read from",
                )


def _a_hash_becomes_a_hash(bench: Bench, play: Play, call: Call, prepared: Any, seen: Iterable[Exchange]) -> None:
    """Where the sandbox has no payment on the chain yet, one is put where the answer has room for it."""
    answers = [answer for one in seen if (answer := _decoded(one.answer)) is not None]
    empty = {path for answer in answers for path, value in leaves(answer) if value in (None, "") and _is_hash(path)}
    if not empty or run_of(play, call).result.transactions:
        return

    def paid(body: bytes) -> bytes:
        data = _decoded(body)
        for path in empty if data is not None else ():
            data = replaced(data, path, _SOME_HASH)
        return body if data is None else written(data)

    play.watch.forget()
    with bench.rewriting(paid):
        raised_by(lambda: call.make(play, prepared))
    for run in play.watch.runs:
        shown = run.result.transactions if run.operation == call.operation and run.done else ()
        if shown and _SOME_HASH not in shown:
            fault(
                f"{call.name}: `transactions` shows {', '.join(shown)}, and the answer has another hash",
                expected=f"{_SOME_HASH}, which was put at {', '.join('.'.join(map(str, path)) for path in empty)}",
                look_at="which field of the answer `transactions` is read from",
            )


def _is_hash(path: tuple[str | int, ...]) -> bool:
    name = str(path[-1]).lower() if path else ""
    return name.startswith("tx") or "hash" in name or "transaction" in name


def _fees_stand_somewhere_else(bench: Bench, call: Call, item: Any, seen: Iterable[Exchange]) -> None:
    """A fee that is as large as what is paid is one where the answer has that number twice."""
    amounts = {name: getattr(item, name, None) for name in ("amount", "received", "price")}
    for fee in getattr(item, "fees", ()):
        name = next((name for name, amount in amounts.items() if amount == fee.amount), None)
        if name is None or fee.amount.amount == 0:
            continue
        wanted = {fee.amount.amount, on_wire(bench, fee.amount, call.name)}
        answers = [leaves(answer) for one in seen if (answer := _decoded(one.answer)) is not None]
        places = {tuple(map(str, path)) for found in answers for path, value in found if as_number(value) in wanted}
        if not any("fee" in "".join(path).lower() or "commission" in "".join(path).lower() for path in places):
            fault(
                f"{call.name}: the fee {fee.name!r} is {fee.amount}, which is `{name}`",
                expected="what the answer has as the fee",
                found=", ".join(".".join(path) for path in sorted(places))[:300],
                look_at="which field of the answer the fee is read from",
            )


def _decoded(body: bytes) -> Any:
    try:
        return decode_json(body)
    except ValueError:
        return None
