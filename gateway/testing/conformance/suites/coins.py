"""Every amount is in the coin that the provider named for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from gateway.assets import Asset, known_assets
from gateway.exchange import decode_json
from gateway.money import Money
from gateway.testing.conformance.bench import Bench
from gateway.testing.conformance.cases import Case, Suite, check, over
from gateway.testing.conformance.colours import SYNC
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.subject import Subject
from gateway.testing.conformance.suites.evidence import LISTS, call_of, raised_by, run_of
from gateway.testing.conformance.tap import Exchange, leaves, replaced, written

__all__ = ["CoinsSuite", "are_named", "assets_in", "names", "texts_in"]

_SLIP = "the adapter failed at it with"
"""What the engine says of an exception that an adapter did not mean to raise."""
_NOBODYS_COIN = "QZXQ"
_OF_ONE_COIN = ("orders.", "refunds.", "withdrawals.", "trades.")
_PART = re.compile(r"[^A-Za-z0-9]+")


class CoinsSuite(Suite):
    """Coins of results."""

    turn = 6

    @check(over(colours=[SYNC]))
    def test_a_coin_nobody_knows_is_no_accident(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), call_of(case)
        prepared = play.prepared(call)
        before = len(bench.tapped.exchanges)
        asked = None if call.request is None else call.request(play, prepared, play.new())
        raised = raised_by(lambda: call.make(play, prepared) if call.sent is None else call.sent(play, asked))
        if raised is not None:
            return  # told by the check that carries it out
        result, seen = run_of(play, call).result, bench.tapped.exchanges[before:]
        if call.operation.startswith(_OF_ONE_COIN) and call.operation not in LISTS:
            are_named(bench, call.name, result, seen, (prepared, asked))
        for path in _coins_in(seen, {asset.symbol.lower() for _, asset in assets_in(result)}):
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


def are_named(bench: Bench, name: str, result: Any, seen: Iterable[Exchange], asked: Any) -> None:
    """Each asset of a result is named by what was asked for, sent or answered, where these name any."""
    texts = [text for exchange in seen for text in _texts_of(exchange)]
    texts += [asset.symbol for _, asset in assets_in(asked)]
    for place, asset in dict.fromkeys(assets_in(result)):
        if names(bench.subject, texts, asset) is False:
            fault(
                f"{name}: {place} is in {asset}, and neither the answer nor the request names that",
                expected="the coin of the provider's answer",
                found=", ".join(repr(text) for text in texts if _names_any(bench.subject, text))[:300],
                look_at="how the coin is read; `coins` of the Subject says what the provider calls an asset",
            )


def names(subject: Subject, texts: Iterable[str], asset: Asset) -> bool | None:
    """Whether these texts name the asset; None where they name none that is known."""
    own = {word.upper() for word in (asset.symbol, asset.name or asset.symbol, *_called(subject, asset))}
    known = _symbols(subject) - own
    found: bool | None = None
    for word in _words(texts):
        if word in own or (word not in known and any(len(one) > 2 and one in word for one in own)):
            return True
        if word in known:
            found = False
    return found


def assets_in(value: Any, place: str = "result") -> Iterator[tuple[str, Asset]]:
    """Every asset of a result with its place, `raw` left out."""
    if isinstance(value, Asset):
        yield place, value
    elif isinstance(value, Money):
        yield place, value.asset
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from assets_in(item, place)
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield from assets_in(getattr(value, name), name if place == "result" else f"{place}.{name}")


def texts_in(data: Any) -> Iterator[str]:
    """Every text of JSON data, the names of its fields too: some providers write `{"BTC": {"free": …}}`."""
    for path, value in leaves(data):
        yield from (part for part in path if isinstance(part, str))
        if isinstance(value, str):
            yield value


def _texts_of(exchange: Exchange) -> Iterator[str]:
    yield from (exchange.path, exchange.query, exchange.body.decode("utf-8", "replace"))
    try:
        yield from texts_in(decode_json(exchange.answer))
    except ValueError:
        return


def _words(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield text.upper()
        yield from filter(None, _PART.split(text.upper()))


def _called(subject: Subject, asset: Asset) -> Iterator[str]:
    for code, called in subject.coins.items():
        if code == asset.code or Asset.of(code).symbol == asset.symbol:
            yield from called


def _symbols(subject: Subject) -> set[str]:
    own = {asset.symbol.upper() for asset in known_assets()}
    return own | {word.upper() for called in subject.coins.values() for word in called}


def _names_any(subject: Subject, text: str) -> bool:
    return not _symbols(subject).isdisjoint(_words([text]))


def _coins_in(exchanges: Iterable[Exchange], symbols: set[str]) -> list[tuple[str, ...]]:
    """Places of the answers where the name of a coin stands, one for each field."""
    found = []
    for exchange in exchanges:
        try:
            answer = decode_json(exchange.answer)
        except ValueError:
            continue
        found += [
            tuple("*" if isinstance(part, int) else part for part in path)
            for path, value in leaves(answer)
            if isinstance(value, str) and any(value.lower().startswith(one) for one in symbols) and len(value) <= 24
        ]
    return list(dict.fromkeys(found))


def _set_anew(path: tuple[str, ...], body: bytes) -> bytes:
    try:
        return written(replaced(decode_json(body), path, _NOBODYS_COIN))
    except ValueError:
        return body
