"""Emirex passes the conformance kit."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.errors import AuthenticationFailed, InvalidRequest, PermissionDenied
from gateway.exchange import Request
from gateway.testing.conformance import Conformance, DocumentedFailure, SignatureVector, StatusWords, Subject
from gateway_emirex import PROVIDER

MOMENT = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = {"kind": "signed", "public_key": "p", "secret": "secret"}
ERROR = {"status": False, "error": "Incorrect pair"}


class Emirex(Subject):
    provider = PROVIDER
    market = "BTC/USDC"
    trades = {
        "limit": {"side": "buy", "volume": "0.01", "rate": "100.5"},
        "market": {"side": "sell", "volume": "0.01"},
    }
    fields = {"wallets.list": {"available": "data.list.*.balances.available", "total": "data.list.*.balances.total"}}
    words = (
        StatusWords("trades.get", "data.status", {0: "pending", 1: "open", 2: "filled", 3: "cancelled"}, unknown=77),
    )
    failures = (
        DocumentedFailure("markets.ticker", 400, ERROR, InvalidRequest),
        DocumentedFailure("trades.create", 400, ERROR, InvalidRequest),
        DocumentedFailure("trades.get", 401, ERROR, AuthenticationFailed),
        DocumentedFailure("trades.cancel", 403, ERROR, PermissionDenied),
    )
    signatures = (
        SignatureVector(
            Request("POST", "/private/x", json={"order_id": "42"}, write=True),
            {"login-token": "p", "X-Auth-Sign": "b2b4b3a8e5b9e10c6d454818170b2da6f386ceda43917c451a1821fb9f554163"},
            MOMENT,
            auth=KEYS,
            number=1700000000000000,
            body=b'{"order_id":"42","request_id":"1700000000000000"}',
        ),
        SignatureVector(
            Request(
                "POST",
                "/private/x",
                json={"type_trade": 0, "type": 1, "rate": "100.5", "volume": "2", "pair": "BTCUSDC"},
                write=True,
            ),
            {"X-Auth-Sign": "e15b32c43f897bb46fd0d26dfd83f66466ae50c753a4090aca8967ed0f421796"},
            MOMENT,
            auth=KEYS,
            number=1700000000000000,
        ),
    )
    refused_auth = {"kind": "signed", "public_key": "nobodys-public-key", "secret": "nobodys-secret"}
    refused_as = InvalidRequest  # every error is HTTP 400 with a text, and there is no table of texts


class TestEmirex(Conformance):
    subject = Emirex
