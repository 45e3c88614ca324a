"""What is asked for in another currency, or over another network, leaves as another request or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.assets import Asset, known_assets
from gateway.exchange import Request
from gateway.money import Money
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.places import Place, asked_places
from gateway.testing.conformance.suites.evidence import call_of, raised_by

__all__ = ["DenominatedSuite", "is_the_network", "names_the_network"]

_CURRENCIES = ("EUR", "USD")
# What providers call networks, beside their names.
_ALSO = {
    "bitcoin": ("onchain", "on-chain", "btc"),
    "lightning": ("ln", "lnbtc", "btc-ln", "btcln"),
    "ethereum": ("erc20", "erc-20", "eth"),
    "tron": ("trc20", "trc-20", "trx"),
    "solana": ("spl", "sol"),
    "bsc": ("bep20", "bep-20", "bnb"),
}
_LONG = 4


def _moves_money(call: Call) -> bool:
    return call.operation in ("orders.create", "withdrawals.create", "cards.create") and call.has_reference


class DenominatedSuite(Suite):
    """An amount is never sent as that of another currency."""

    turn = 6

    @check(over(_moves_money, colours=[SYNC]))
    def test_another_coin_is_another_request_or_none(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        assert call.request is not None
        prepared = call.prepare(play)
        asked = call.request(play, prepared, play.new())
        changes = list(_changes(bench, call, asked))
        if not changes:
            return
        first, again = (_asked(play, call, asked.model_copy(update={"reference": play.new()})) for _ in range(2))
        if first is None or again is None:
            return  # told by the check of what is asked for
        steady = {place: value for place, value in first.items() if again.get(place) == value}
        for name, other in changes:
            changed = asked.model_copy(update={"reference": play.new(), name: other})
            sent = _asked(play, call, changed)
            if sent is None:
                continue  # refused, and nothing left
            if all(sent.get(place) == value for place, value in steady.items()) and len(sent) == len(first):
                fault(
                    f"{call.name}: {name} {other} left as {name} {getattr(asked, name)} does",
                    expected="a request that says which it is, or InvalidRequest before anything leaves",
                    found=", ".join(f"{place[-1]} = {value}" for place, value in steady.items())[:300],
                    look_at="what the adapter takes of Money.asset and pay_with: a currency or a network that the "
                    "provider does not take is refused",
                )


def _changes(bench: Bench, call: Call, asked: Any) -> Iterator[tuple[str, Any]]:
    """Fields of the request as they would be in another currency, or what is paid with over another network."""
    for name in call.amounts:
        amount = getattr(asked, name)
        if isinstance(amount, Money) and amount.asset.is_fiat:
            other = next(code for code in _CURRENCIES if code != amount.asset.code)
            yield name, Money(amount.amount, other)
        elif isinstance(amount, Money):
            # Not one over another network: from the address some providers tell it by themselves.
            for asset in _beside(amount.asset):
                yield name, Money(amount.amount, asset)
    pay_with = getattr(asked, "pay_with", None)
    if pay_with is not None and "pay_with" not in bench.subject.unsent.get(call.name, ()):
        for asset in _on_other_networks(pay_with):
            yield "pay_with", asset


def _beside(asset: Asset) -> list[Asset]:
    """Another coin of the same network."""
    beside = (one for one in known_assets() if one.network == asset.network and one.symbol != asset.symbol)
    return [one for one in beside if not one.is_fiat][:1] if asset.network is not None else []


def _on_other_networks(asset: Asset) -> list[Asset]:
    if asset.network is None:
        return []
    others = [one for one in known_assets() if one.symbol == asset.symbol and one.network not in (None, asset.network)]
    return [one for one in others if one.network != "lightning"]


def _asked(play: Play, call: Call, asked: Any) -> dict[Place, Any] | None:
    """What the first write of this request asked for, place by place; None when nothing left."""
    play.watch.forget()
    raised_by(lambda: call.sent and call.sent(play, asked))
    runs = [run for run in play.watch.runs if run.operation == call.operation]
    request: Request | None = next((one for run in runs for one in run.requests if one.write), None)
    return None if request is None else {**asked_places(request), ("path",): request.path}


def names_the_network(asset: Asset, texts: list[str]) -> bool:
    """Whether one of the texts says over which network; also where the coin has one alone."""
    if asset.network is None or (not _on_other_networks(asset) and asset.network != "bitcoin"):
        return True
    return any(is_the_network(asset, text) for text in texts)


def is_the_network(asset: Asset, text: str) -> bool:
    """Whether this is how a provider calls the network of the asset. What is its symbol too says nothing of it."""
    said = text.lower()
    if asset.network is None or said == asset.symbol.lower():
        return False
    names = (asset.network, *_ALSO.get(asset.network, ()))
    return any(name == said or (len(name) >= _LONG and name in said) for name in names)
