"""Market data and trades: against a running sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gateway.testing import SandboxServer
from support.printed import document, failure, fields, rows

Run = Callable[..., Result]
HERE = ("--account", "emirex")


# Markets


def test_markets_are_listed(cli: Run, shop: Path) -> None:
    markets = document(cli("markets", "list", *HERE, "--json"))
    assert "BTC/USDC" in {market["market"] for market in markets}
    assert [row["market"] for row in rows(cli("markets", "list", *HERE))] == [market["market"] for market in markets]


def test_the_last_day_of_a_market(cli: Run, shop: Path) -> None:
    shown = fields(cli("markets", "ticker", "BTC/USDC", *HERE))
    as_json = document(cli("markets", "ticker", "BTC/USDC", *HERE, "--json"))
    assert shown["market"] == "BTC/USDC"
    assert shown["last"] == as_json["last"]
    assert shown["change"] == f"{as_json['change']} %"
    assert "e" not in shown["minimum trade"].lower()


def test_a_ticker_that_says_little(cli: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from decimal import Decimal

    from gateway.api import Markets
    from gateway.models.markets import Ticker

    few = Ticker(market="BTC/USDC", last=Decimal("0.00000001"))
    monkeypatch.setattr(Markets, "ticker", lambda self, market, **given: few)
    assert fields(cli("markets", "ticker", "BTC/USDC", *HERE)) == {"market": "BTC/USDC", "last": "0.00000001"}


def test_an_order_book(cli: Run, shop: Path) -> None:
    levels = rows(cli("markets", "book", "BTC/USDC", "--depth", "2", *HERE))
    assert [level["side"] for level in levels] == ["ask", "ask", "bid", "bid"]
    book = document(cli("markets", "book", "BTC/USDC", "--depth", "2", *HERE, "--json"))
    assert [level["rate"] for level in levels] == [level["rate"] for level in (*book["asks"], *book["bids"])]
    assert len(rows(cli("markets", "book", "BTC/USDC", *HERE))) > 4


def test_the_latest_trades_of_a_market(cli: Run, shop: Path) -> None:
    trades = document(cli("markets", "trades", "BTC/USDC", *HERE, "--json"))
    assert len(trades) > 2
    shown = rows(cli("markets", "trades", "BTC/USDC", "--limit", "2", *HERE))
    assert [trade["rate"] for trade in shown] == [trade["rate"] for trade in trades[:2]]


@pytest.mark.parametrize("command", ["ticker", "book", "trades"])
def test_a_market_that_is_not_there(cli: Run, shop: Path, command: str) -> None:
    assert failure(cli("markets", command, "NO/WHERE", *HERE, "--json"))["outcome"] == "rejected"
    assert failure(cli("markets", command, "BTC/USDC", "--account", "aurpay", "--json"))["outcome"] == "not_sent"


def test_the_depth_is_a_number_above_zero(cli: Run, shop: Path) -> None:
    assert cli("markets", "book", "BTC/USDC", "--depth", "0", *HERE).exit_code == 2


# Trades


def place(reference: str, *more: str) -> tuple[str, ...]:
    words = ("trades", "create", "--reference", reference, "--market", "BTC/USDC", "--side", "buy")
    return (*words, "--volume", "0.010", "--rate", "100", *HERE, *more)


def writes(server: SandboxServer) -> int:
    return sum(call.method == "POST" and "order" in call.path for call in server.requests["emirex"])


def placed(cli: Run) -> set[str]:
    """The provider's numbers of the open trades."""
    return {row["provider id"] for row in rows(cli("trades", "open", *HERE))}


def test_a_trade_is_placed_once_followed_and_cancelled(cli: Run, shop: Path) -> None:
    before = placed(cli)
    made = fields(cli(*place("t-1", "--yes")))
    assert {"reference": "t-1", "market": "BTC/USDC", "side": "buy", "kind": "limit"}.items() <= made.items()
    assert document(cli(*place("t-1", "--yes", "--json")))["provider_id"] == made["provider id"]
    assert placed(cli) - before == {made["provider id"]}
    assert document(cli("trades", "get", "t-1", "--json"))["status"] == "open"
    assert fields(cli("trades", "get", "t-1", "--no-refresh"))["rate"] == "100"
    fetched = fields(cli("trades", "get", "--provider-id", made["provider id"], *HERE))
    assert fetched["provider id"] == made["provider id"]

    cancelled = fields(cli("trades", "cancel", "t-1", "--yes"))
    assert cancelled["status"] == "cancelled"
    assert document(cli("trades", "cancel", "t-1", "--yes", "--json"))["status"] == "cancelled"
    assert placed(cli) == before
    assert made["provider id"] in {
        trade["provider_id"] for trade in document(cli("trades", "history", *HERE, "--json"))
    }
    assert len(rows(cli("trades", "history", *HERE, "--limit", "1"))) == 1


def test_a_market_order_has_no_rate(asked: Run, cli: Run) -> None:
    words = ("trades", "create", "--reference", "t-2", "--market", "BTC/USDC", "--side", "sell", "--kind", "market")
    result = asked(*words, "--volume", "0.001", *HERE, answer="n\n")
    assert "Place a market order: sell 0.001 of BTC/USDC, with emirex (emirex, sandbox) as t-2? [y/N] " in result.stderr


def test_placing_and_cancelling_are_asked_for(asked: Run, cli: Run, server: SandboxServer) -> None:
    before = placed(cli)
    refused = asked(*place("t-3"), answer="n\n")
    assert refused.exit_code == 1
    assert "Place a limit order: buy 0.010 of BTC/USDC at 100, with emirex (emirex, sandbox) as t-3? [y/N] " in (
        refused.stderr
    )
    assert placed(cli) == before
    made = fields(cli(*place("t-3", "-y")))
    kept = asked("trades", "cancel", "t-3", answer="n\n")
    assert kept.exit_code == 1
    assert "Cancel t-3: buy 0.010 of BTC/USDC at 100, with emirex (emirex, sandbox)? [y/N] " in kept.stderr
    assert placed(cli) - before == {made["provider id"]}
    assert asked("trades", "cancel", "t-3", answer="y\n").exit_code == 0
    assert placed(cli) == before


def test_a_trade_is_not_cancelled_unasked(cli: Run, shop: Path) -> None:
    made = fields(cli(*place("t-4", "--yes")))
    result = cli("trades", "cancel", "t-4", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert made["provider id"] in placed(cli)


def test_cancelling_a_market_order_says_no_rate(asked: Run, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from decimal import Decimal

    from gateway.api import Trades
    from gateway.models.trades import Side, Trade, TradeStatus

    known = Trade(
        provider_id="1",
        account="emirex",
        status=TradeStatus.OPEN,
        market="BTC/USDC",
        side=Side.SELL,
        volume=Decimal("0.1"),
    )
    monkeypatch.setattr(Trades, "get", lambda self, reference, refresh: known)
    result = asked("trades", "cancel", "t-9", answer="n\n")
    assert "Cancel t-9: sell 0.1 of BTC/USDC, with emirex" in result.stderr


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("create", "--reference", "t-5", "--market", "BTC", "--side", "buy", "--volume", "1", "-y"), "InvalidRequest"),
        (
            (*("create", "--reference", "t-5", "--market", "BTC/USDC", "--side", "buy", "--volume", "1,5"), "-y"),
            "InvalidRequest",
        ),
        (
            (*("create", "--reference", "t-5", "--market", "BTC/USDC", "--side", "buy", "--volume", "1"), "-y"),
            "InvalidRequest",
        ),
        (("get", "nothing"), "NotFound"),
        (("cancel", "nothing", "-y"), "NotFound"),
        (("open", "--account", "aurpay"), "UnsupportedOperation"),
        (("history",), "InvalidRequest"),
    ],
)
def test_what_cannot_be_done(cli: Run, shop: Path, words: tuple[str, ...], kind: str) -> None:
    error = failure(cli("trades", *words, "--json"))
    assert (error["error"], error["outcome"]) == (kind, "not_sent")


@pytest.mark.parametrize("words", [(), ("t-1", "--provider-id", "1")])
def test_one_trade_is_named(cli: Run, shop: Path, words: tuple[str, ...]) -> None:
    result = cli("trades", "get", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "say which trade" in result.stderr
