"""What became of a request: every way a provider can answer, or not answer, to a read and to a write, in both colours.

A read is repeated (six sendings) where docs/failures.md says so. A write is repeated only when nothing was done, and
everything that leaves that open is OutcomeUnknown. Whatever happens, no report shows a secret.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import CryptoAddress, Money, OrderRequest, WithdrawalRequest
from gateway.engine.http import LARGEST_ANSWER
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InsufficientFunds,
    InvalidRequest,
    MalformedResponse,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
)
from support.colours import Opened, opened
from support.loopback import (
    Answer,
    Bytes,
    Drop,
    Hold,
    Loopback,
    Play,
    Trickle,
    Truncated,
    full_backlog,
    gzipped,
    oversized,
    redirect,
    refusing,
    self_signed,
)
from support.toy import KEY, TICKER, account, answers, good, wrong
from support.virtual import VirtualClock

IN_BODY = "body-CANARY-42d0"
IN_ANSWER = "answer-CANARY-9c1e"
LOUD = {"message": f"you sent {KEY}", "token": IN_ANSWER, "nested": {"api_secret": IN_ANSWER}}
"""What an answer says in these tests: the account's own key, and secrets of the provider under telling names."""
HTML = f"<!DOCTYPE html><title>Bad</title><p>{KEY}</p>"


@dataclass(frozen=True)
class End:
    """How a call ends: the error, what it says, and how often the request left."""

    kind: type[GatewayError]
    outcome: str
    retryable: bool
    sendings: int = 1


def refused(kind: type[GatewayError]) -> End:
    return End(kind, "rejected", False)


UNKNOWN = End(OutcomeUnknown, "unknown", False)
MALFORMED = End(MalformedResponse, "rejected", False, 6)
ODD = End(MalformedResponse, "rejected", False)
DOWN = End(ProviderUnavailable, "rejected", True, 6)
LIMITED = End(RateLimited, "rejected", True, 6)

ANSWERED: dict[str, tuple[Play, End, End]] = {
    # name: (what the server does, how a read ends, how a write ends)
    "400": (Answer(400, LOUD), refused(InvalidRequest), refused(InvalidRequest)),
    "401": (Answer(401, LOUD), refused(AuthenticationFailed), refused(AuthenticationFailed)),
    "402": (Answer(402, LOUD), ODD, UNKNOWN),
    "403": (Answer(403, LOUD), refused(PermissionDenied), refused(PermissionDenied)),
    "404": (Answer(404, LOUD), refused(NotFound), refused(NotFound)),
    "404 HTML": (Answer(404, HTML, kind="text/html"), refused(NotFound), refused(NotFound)),
    "405": (Answer(405, LOUD), ODD, UNKNOWN),
    "408": (Answer(408, LOUD), DOWN, UNKNOWN),
    "409": (Answer(409, LOUD), refused(Conflict), refused(Conflict)),
    "418": (Answer(418, LOUD), ODD, UNKNOWN),
    "422": (Answer(422, LOUD), refused(InvalidRequest), refused(InvalidRequest)),
    "429": (Answer(429, LOUD), LIMITED, LIMITED),
    "500": (Answer(500, LOUD), DOWN, UNKNOWN),
    "501": (Answer(501, LOUD), DOWN, UNKNOWN),
    "502": (Answer(502, HTML, kind="text/html"), DOWN, UNKNOWN),
    "503": (Answer(503, LOUD), DOWN, DOWN),
    "504": (Answer(504, b""), DOWN, UNKNOWN),
    "301": (redirect("/elsewhere", 301), ODD, UNKNOWN),
    "302": (redirect(f"https://elsewhere.invalid/?key={KEY}"), ODD, UNKNOWN),
    "303": (redirect("/elsewhere", 303), ODD, UNKNOWN),
    "307": (redirect("/elsewhere", 307), ODD, UNKNOWN),
    "308": (redirect("/elsewhere", 308), ODD, UNKNOWN),
    "204": (Answer(204, b""), MALFORMED, UNKNOWN),
    "200 HTML": (Answer(200, HTML, kind="text/html"), MALFORMED, UNKNOWN),
    "200 empty": (Answer(200, b""), MALFORMED, UNKNOWN),
    "200 cut JSON": (Answer(200, f'{{"ok": true, "token": "{IN_ANSWER}'), MALFORMED, UNKNOWN),
    "200 deep JSON": (Answer(200, b"[" * 100_000), MALFORMED, UNKNOWN),
    "200 no UTF-8": (Answer(200, b'{"ok": "\xff\xfe"}'), MALFORMED, UNKNOWN),
    "200 no number": (Answer(200, b'{"ok": true, "data": {"last": NaN}}'), MALFORMED, UNKNOWN),
    "200 another shape": (Answer(200, [LOUD]), MALFORMED, UNKNOWN),
    "200 field missing": (good({"token": IN_ANSWER, "note": KEY}), MALFORMED, UNKNOWN),
    "200 wrong types": (good({"last": {"token": IN_ANSWER}, "id": [KEY], "status": 5}), MALFORMED, UNKNOWN),
    "200 error": (wrong("low-balance", KEY), refused(InsufficientFunds), refused(InsufficientFunds)),
    "402 error": (wrong("low-balance", KEY, 402), refused(InsufficientFunds), refused(InsufficientFunds)),
    "404 error": (wrong("bad-key", KEY, 404), refused(AuthenticationFailed), refused(AuthenticationFailed)),
    "500 error": (wrong("low-balance", KEY, 500), DOWN, UNKNOWN),
    "302 error": (wrong("low-balance", KEY, 302), refused(InsufficientFunds), UNKNOWN),
    "408 error": (wrong("low-balance", KEY, 408), refused(InsufficientFunds), UNKNOWN),
    "425 error": (wrong("low-balance", KEY, 425), refused(InsufficientFunds), UNKNOWN),
    "499 error": (wrong("low-balance", KEY, 499), refused(InsufficientFunds), UNKNOWN),
    "200 nobody knows": (wrong("nobody-knows", KEY), refused(InvalidRequest), refused(InvalidRequest)),
    "200 slow down": (wrong("slow-down", KEY), LIMITED, LIMITED),
    "truncated": (Truncated(), DOWN, UNKNOWN),
    "no HTTP": (Bytes(b"SSH-2.0-OpenSSH\r\n\r\n"), DOWN, UNKNOWN),
    "header too long": (Bytes(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n"), DOWN, UNKNOWN),
    "bad gzip": (Answer(200, b"no gzip", {"Content-Encoding": "gzip"}), DOWN, UNKNOWN),
    "closed before reading": (Drop(reads=False), DOWN, UNKNOWN),
    "closed after reading": (Drop(), DOWN, UNKNOWN),
    "reset before reading": (Drop(reads=False, reset=True), DOWN, UNKNOWN),
    "reset after reading": (Drop(reset=True), DOWN, UNKNOWN),
    "oversized": (oversized(LARGEST_ANSWER + 1), End(ProviderUnavailable, "rejected", False), UNKNOWN),
    "a bomb": (gzipped(b" " * (8 * LARGEST_ANSWER)), End(ProviderUnavailable, "rejected", False), UNKNOWN),
}

ORDER = OrderRequest(reference="cart-1001", price=Money("25.00", "USD"), description=IN_BODY)


def read(gw: Opened, **given: Any) -> Any:
    return gw.markets.ticker("BTC/USD", account="shop", **given)


def write(gw: Opened, **given: Any) -> Any:
    return gw.orders.create(ORDER, account="shop", **given)


class Ears:
    """Everything that anybody is told of a call that fails."""

    def __init__(self, gw: Opened, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self._caplog = caplog
        self.records: list[Any] = []
        gw.observe(self.records.append)

    def failing(self, call: Callable[[], Any]) -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            call()
        error = caught.value
        told = "\n".join(
            [
                str(error),
                repr(error),
                repr(error.args),
                str(error.to_dict()),
                "".join(traceback.format_exception(error)),
                self._caplog.text,
                repr(self.records),
            ]
        )
        assert not [secret for secret in (KEY, IN_BODY, IN_ANSWER) if secret in told]
        assert (error.account, error.provider) == ("shop", "toy")
        return error


def says(error: GatewayError, end: End) -> None:
    assert (type(error), error.outcome, error.retryable) == (end.kind, end.outcome, end.retryable)


@pytest.mark.parametrize("name", ANSWERED)
def test_a_read(name: str, colour: str, caplog: pytest.LogCaptureFixture) -> None:
    play, end, _ = ANSWERED[name]
    clock = VirtualClock()
    with (
        Loopback(every=play) as server,
        opened(colour, accounts={"shop": account(server.url)}, clock=clock, uniform=lambda: 0.5) as gw,
    ):
        ears = Ears(gw, caplog)
        error = ears.failing(lambda: read(gw))
        says(error, end)
        assert error.operation == "markets.ticker"
        assert (server.connections if not play.reads else len(server.requests)) == end.sendings
        exchanges = [record for record in ears.records if record.kind == "exchange"]
        assert [record.attempt for record in exchanges] == list(range(1, end.sendings + 1))
        assert {record.outcome for record in ears.records} == {end.outcome}
        assert ears.records[-1].kind == "operation"
        # The account works on.
        server.every = TICKER
        assert str(read(gw).last) == "60000.5"


@pytest.mark.parametrize("name", ANSWERED)
def test_a_write(name: str, colour: str, caplog: pytest.LogCaptureFixture) -> None:
    play, _, end = ANSWERED[name]
    clock = VirtualClock()
    with (
        Loopback(every=play) as server,
        opened(colour, accounts={"shop": account(server.url)}, clock=clock, uniform=lambda: 0.5) as gw,
    ):
        ears = Ears(gw, caplog)
        error = ears.failing(lambda: write(gw))
        says(error, end)
        assert (error.operation, error.reference) == ("orders.create", "cart-1001")
        assert (server.connections if not play.reads else len(server.requests)) == end.sendings
        assert {record.outcome for record in ears.records} == {end.outcome}
        if end.outcome == "unknown":
            assert "gateway journal settle" in str(error)
            server.every = good({"id": "1", "status": "open"})
            says(ears.failing(lambda: write(gw)), UNKNOWN)
            assert (server.connections if not play.reads else len(server.requests)) == 1, "sent again"


PAYOUT = WithdrawalRequest(
    reference="payout-1", amount="12.5 USDT@tron", to=CryptoAddress("TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL")
)


@pytest.mark.parametrize(
    ("code", "status", "end"),
    [
        ("nobody-knows", 200, UNKNOWN),
        ("nobody-knows", 402, UNKNOWN),
        ("nobody-knows", 418, UNKNOWN),
        ("nobody-knows", 400, refused(InvalidRequest)),
        ("nobody-knows", 422, refused(InvalidRequest)),
        ("nobody-knows", 429, LIMITED),
        ("low-balance", 200, refused(InsufficientFunds)),
        ("low-balance", 499, UNKNOWN),
        ("slow-down", 499, UNKNOWN),
    ],
)
def test_a_payout_is_refused_only_by_what_is_recognised(code: str, status: int, end: End, colour: str) -> None:
    with (
        Loopback(every=wrong(code, "no", status)) as server,
        opened(colour, accounts={"shop": account(server.url)}, clock=VirtualClock(), uniform=lambda: 0.5) as gw,
        pytest.raises(GatewayError) as caught,
    ):
        gw.withdrawals.create(PAYOUT, account="shop")
    says(caught.value, end)
    assert caught.value.provider_code == code
    assert len(server.requests) == end.sendings


@pytest.mark.parametrize("call", [read, write], ids=["read", "write"])
class TestNeverSent:
    """Nothing reached anybody, so a write is repeated too, and the error says so."""

    END = End(ProviderUnavailable, "not_sent", True)

    @pytest.mark.parametrize("nobody", [refusing, full_backlog], ids=["refused", "no answer to SYN"])
    def test_nobody_there(
        self,
        call: Callable[..., Any],
        nobody: Callable[[], AbstractContextManager[str]],
        colour: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with nobody() as url, opened(colour, accounts={"shop": account(url)}, uniform=lambda: 1.0) as gw:
            ears = Ears(gw, caplog)
            error = ears.failing(lambda: call(gw, deadline=0.2))
            says(error, self.END)
            assert "nothing was sent" in str(error)

    def test_no_such_name(self, call: Callable[..., Any], colour: str, caplog: pytest.LogCaptureFixture) -> None:
        clock = VirtualClock()
        with opened(colour, accounts={"shop": account("https://api.toy.invalid")}, clock=clock) as gw:
            ears = Ears(gw, caplog)
            says(ears.failing(lambda: call(gw)), self.END)
            assert len([record for record in ears.records if record.kind == "exchange"]) == 6

    def test_refused_at_first_it_is_sent_later_and_once(self, call: Callable[..., Any], colour: str) -> None:
        clock = VirtualClock()
        with (
            Loopback(app=answers, opens=False) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=clock, uniform=lambda: 0.5) as gw,
        ):
            clock.while_asleep = lambda: server.open() if len(clock.slept) == 3 else None
            call(gw)
            assert clock.slept == [0.125, 0.25, 0.5]
            assert len(server.requests) == 1

    def test_a_certificate_that_nobody_vouches_for(
        self, call: Callable[..., Any], colour: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        with (
            Loopback(app=answers, tls=self_signed(tmp_path)) as server,
            opened(colour, accounts={"shop": account(server.url)}, clock=VirtualClock()) as gw,
        ):
            error = Ears(gw, caplog).failing(lambda: call(gw))
            says(error, End(ProviderUnavailable, "not_sent", False))
            assert "certificate" in str(error)
            assert "ca_file" in str(error)
            assert (server.requests, server.connections) == ([], 1)

    def test_a_certificate_of_another_host(
        self, call: Callable[..., Any], colour: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        pem = self_signed(tmp_path)
        with Loopback(app=answers, tls=pem) as server:
            url = f"https://localhost:{server.port}"
            with opened(colour, accounts={"shop": account(url, ca_file=str(pem))}, clock=VirtualClock()) as gw:
                says(Ears(gw, caplog).failing(lambda: call(gw)), End(ProviderUnavailable, "not_sent", False))
                assert server.requests == []

    def test_a_certificate_that_the_account_trusts(self, call: Callable[..., Any], colour: str, tmp_path: Path) -> None:
        pem = self_signed(tmp_path)
        with (
            Loopback(app=answers, tls=pem) as server,
            opened(colour, accounts={"shop": account(server.url, ca_file=str(pem))}) as gw,
        ):
            call(gw)
            assert len(server.requests) == 1

    def test_plain_http_where_tls_is_expected(
        self, call: Callable[..., Any], colour: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            Loopback(every=Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n", reads=False)) as server,
            opened(colour, accounts={"shop": account(server.url.replace("http", "https"))}, clock=VirtualClock()) as gw,
        ):
            error = Ears(gw, caplog).failing(lambda: call(gw))
            assert (type(error), error.outcome) == (ProviderUnavailable, "not_sent")

    @pytest.mark.parametrize("odd", ["kéy-", "line\nbreak-"])
    def test_a_key_that_no_header_can_carry(
        self, call: Callable[..., Any], odd: str, colour: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            Loopback(app=answers) as server,
            opened(colour, accounts={"shop": account(server.url, key=odd + KEY)}, clock=VirtualClock()) as gw,
        ):
            error = Ears(gw, caplog).failing(lambda: call(gw))
            says(error, End(ProviderUnavailable, "not_sent", False))
            assert server.requests == []

    def test_an_egress_proxy_that_refuses(
        self, call: Callable[..., Any], colour: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Loopback(every=Answer(403, LOUD)) as proxy:
            shop = account("https://api.toy.invalid", proxy=f"http://user:{KEY}@127.0.0.1:{proxy.port}")
            with opened(colour, accounts={"shop": shop}, clock=VirtualClock(), uniform=lambda: 0.5) as gw:
                says(Ears(gw, caplog).failing(lambda: call(gw)), self.END)
            assert {seen.method for seen in proxy.requests} == {"CONNECT"}
            assert not [seen for seen in proxy.requests if "x-key" in seen.headers]


def test_an_egress_proxy_carries_the_requests(colour: str) -> None:
    with Loopback(every=good({})) as proxy:
        # Nobody listens at the provider's address: what answers is the proxy.
        shop = account("http://127.0.0.1:9", proxy=f"http://user:pass@127.0.0.1:{proxy.port}")
        with opened(colour, accounts={"shop": shop}) as gw:
            gw.keys.verify(account="shop")
        [seen] = proxy.requests
        assert seen.target == "http://127.0.0.1:9/me"
        assert seen.headers["proxy-authorization"].startswith("Basic ")


def test_what_is_set_as_a_cookie_is_not_sent_back(colour: str) -> None:
    with (
        Loopback(app=lambda seen: Answer(200, {"ok": True, "data": {}}, {"Set-Cookie": "a=1; Path=/"})) as server,
        opened(colour, accounts={"shop": account(server.url)}) as gw,
    ):
        gw.keys.verify(account="shop")
        gw.keys.verify(account="shop")
        assert not [seen for seen in server.requests if "cookie" in seen.headers]
        assert server.connections == 1


@pytest.mark.parametrize(
    "play", [Hold(), Trickle(), Trickle(head=True)], ids=["silence", "a trickling body", "trickling headers"]
)
class TestTooLate:
    """The deadline holds, whatever the provider does meanwhile."""

    def test_a_read(self, play: Play, colour: str, caplog: pytest.LogCaptureFixture) -> None:
        with Loopback(every=play) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
            ears = Ears(gw, caplog)
            start = time.monotonic()
            says(ears.failing(lambda: read(gw, deadline=1.0)), End(ProviderUnavailable, "rejected", True))
            assert time.monotonic() - start < 6

    def test_a_write(self, play: Play, colour: str, caplog: pytest.LogCaptureFixture) -> None:
        with Loopback(every=play) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
            ears = Ears(gw, caplog)
            says(ears.failing(lambda: write(gw, deadline=1.0)), UNKNOWN)
            assert len(server.requests) == 1
