"""`account(...).request`: the way out for what is not modelled, signed and limited like every other call."""

from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.http import Connection, TransportFailure, _Trace
from gateway.errors import InvalidRequest, OutcomeUnknown, UnsupportedOperation, UnverifiedOperation
from gateway.exchange import Malformed, Request, Response, decode_json, encode_json
from support.colours import opened
from support.loopback import Answer, Loopback
from support.toy import KEY, account, answers, toy_plugins
from support.virtual import VirtualClock


def test_a_get_goes_out_signed_with_its_query_encoded(colour: str) -> None:
    with Loopback(app=lambda seen: Answer(200, [1, "two"], {"X-Some": "header"})) as server:
        with opened(colour, accounts={"shop": account(server.url + "/base", kind="numbered")}) as gw:
            response = gw.account("shop").request("get", "/api/v2/order/", query={"a b": "c&d=é", "e": "/?#"})
        [seen] = server.requests
        assert (seen.method, seen.body) == ("GET", b"")
        assert seen.target == "/base/api/v2/order/?a%20b=c%26d%3D%C3%A9&e=%2F%3F%23"
        covered = f"{seen.headers['x-number']} GET {seen.target.removeprefix('/base')}".encode()
        assert seen.headers["signature"] == hmac.new(KEY.encode(), covered, hashlib.sha256).hexdigest()
        assert seen.headers["accept-encoding"] == "identity"
        assert (response.status, response.json(), response.headers["x-some"]) == (200, [1, "two"], "header")
        assert response.is_success


def test_a_post_goes_out_with_exact_numbers(colour: str) -> None:
    body = {"amount": Decimal("0.00000001"), "large": 10**30, "list": [Decimal("1E+3"), True, None, "é"]}
    with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        gw.account("shop").request("POST", "/orders", json=body)
        [seen] = server.requests
        assert seen.body.decode() == (
            '{"amount":0.00000001,"large":1000000000000000000000000000000,"list":[1000,true,null,"é"]}'
        )
        assert seen.headers["content-type"] == "application/json"
        assert seen.headers["content-length"] == str(len(seen.body))
        assert seen.headers["x-key"] == KEY


@pytest.mark.parametrize(
    "method, write, sendings",
    [("GET", None, 6), ("HEAD", None, 6), ("POST", None, 1), ("DELETE", None, 1), ("GET", True, 1), ("POST", False, 6)],
)
def test_everything_but_get_and_head_writes_unless_said_otherwise(
    method: str, write: bool | None, sendings: int, colour: str
) -> None:
    with (
        Loopback(every=Answer(500)) as server,
        opened(colour, accounts={"shop": account(server.url)}, clock=VirtualClock()) as gw,
    ):
        with pytest.raises(Exception, match="HTTP 500") as caught:
            gw.account("shop").request(method, "/x", write=write)
        assert isinstance(caught.value, OutcomeUnknown) is (sendings == 1)
        assert [seen.method for seen in server.requests] == [method] * sendings


@pytest.mark.parametrize(
    "path",
    [
        *("", "x", "//x", "https://elsewhere.invalid/", "/a b", "/a\nb", "/a?b=c", "/a#b", "/a/../b", "/..", "/./a"),
        *("/é", "/a%2", "/a\\b", "/a\x7f", '/"', "/{x}"),
    ],
)
def test_a_path_that_would_not_arrive_as_it_is_written_is_refused(path: str, colour: str) -> None:
    with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        with pytest.raises(InvalidRequest, match="path"):
            gw.account("shop").request("GET", path)
        assert server.requests == []


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a.b-c_d~e", "/a%20b/%2F", "/a:b@c;d=e,f!$&'()*+", "/a//b"])
def test_a_path_arrives_as_it_is_written(path: str, colour: str) -> None:
    with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        gw.account("shop").request("GET", path, query={"q": "~'()*!"})
        assert server.requests[0].target == f"{path}?q=~%27%28%29%2A%21"


@pytest.mark.parametrize("method", ["", "GET /", "G-T", "GÉT", "GET\r\n"])
def test_a_method_is_a_word(method: str, colour: str) -> None:
    with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        with pytest.raises(InvalidRequest, match="method"):
            gw.account("shop").request(method, "/")
        assert server.requests == []


def nested() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize("body", [1.5, {"a": [0.1]}, object(), {"a": nested()}, {object(): 1}, {"a": {1, 2j}}])
def test_a_body_that_cannot_go_out_exactly_is_refused(body: Any, colour: str) -> None:
    with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        with pytest.raises(InvalidRequest, match="json"):
            gw.account("shop").request("POST", "/", json=body)
        assert server.requests == []


def test_what_the_table_does_not_offer_is_refused_before_any_network(colour: str) -> None:
    with Loopback(app=answers) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        with pytest.raises(UnsupportedOperation, match="refund it in the web interface") as manual:
            gw.core.account("shop").require("refunds.create")
        assert (manual.value.account, manual.value.provider) == ("shop", "toy")
        with pytest.raises(UnsupportedOperation):
            gw.markets.book("BTC/USD", account="shop")
        with pytest.raises(UnverifiedOperation, match="allow_inferred"):
            gw.wallets.list(account="shop", kind="lightning")
        shop = gw.account("shop")
        assert (shop.can("wallets.list", "custodial"), shop.can("wallets.list", "lightning")) == (True, False)
        assert not shop.can("refunds.create")
        assert server.requests == []
        gw.add_account("brave", **account(server.url, allow_inferred=["wallets.list:lightning"]))
        assert gw.account("brave").can("wallets.list", "lightning")
        assert [wallet.account for wallet in gw.wallets.list(account="brave", kind="lightning")] == ["brave"]


def test_lists_page_by_themselves(colour: str) -> None:
    def app(seen: Any) -> Answer:
        page = int(seen.target.rpartition("cursor=")[2]) if "cursor" in seen.target else 0
        orders = [{"id": f"{page}-{index}", "status": "open"} for index in range(2)]
        return Answer(200, {"ok": True, "data": {"orders": orders, "next": str(page + 1) if page < 2 else None}})

    with Loopback(app=app) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        listed = gw.orders.fetch_all(account="shop")
        assert [order.provider_id for order in listed] == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
        assert len(server.requests) == 3


class TestTheProtocol:
    def test_a_request_and_its_answer_show_no_secret(self) -> None:
        request = Request("GET", "/x", query=(("api_key", KEY), ("size", "5")), headers={"X-Key": KEY}, json={"a": KEY})
        assert KEY not in repr(request)
        assert "size=5" in repr(request)
        assert repr(Request("GET", "/x")) == "Request(GET /x)"
        assert KEY not in repr(Response(200, {"token": KEY}, KEY.encode()))

    def test_what_is_encoded_already_stays(self) -> None:
        made = Request("POST", "/", json={"a": 1}, body=b"as it is")
        assert made.encoded() is made
        assert Request("GET", "/").encoded().body is None

    @pytest.mark.parametrize(
        "content, words",
        [
            *((b"", "empty"), (b" \n", "empty"), (b"{", "not JSON"), (b"\xff", "not JSON"), (b"NaN", "not JSON")),
            *((b"1 2", "not JSON"), (b"[" * 100_000, "nested too deeply"), (b"1e99999999999999999999", "not JSON")),
        ],
    )
    def test_what_is_no_json_is_malformed(self, content: bytes, words: str) -> None:
        with pytest.raises(Malformed, match=words):
            decode_json(content)

    def test_numbers_are_exact(self) -> None:
        assert decode_json(b"[0.1, 1e-8, 100000000000000000000000000001, 2, 0.10]") == [
            Decimal("0.1"),
            Decimal("1E-8"),
            100000000000000000000000000001,
            2,
            Decimal("0.10"),
        ]
        assert str(decode_json(b"0.10")) == "0.10"

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
            max_leaves=12,
        )
    )
    def test_json_comes_back_as_it_went(self, data: Any) -> None:
        assert decode_json(encode_json(data)) == data


@pytest.mark.parametrize(
    "path", ["/a/../b", "/a b", "/a#b", "/é", "@elsewhere.invalid/a", ".elsewhere.invalid/a", "a", ""]
)
def test_a_transport_sends_what_was_signed_or_nothing(path: str, colour: str) -> None:
    """The last guard, for adapters: an identifier in a path may hold anything."""
    from gateway.engine.effects import Send

    def flow() -> Any:
        return (yield Send("shop", Request("GET", path), 5.0))

    with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        with pytest.raises(TransportFailure, match="cannot be sent") as caught:
            gw.run(flow())
        assert (caught.value.sent, caught.value.lasting) == (False, True)
        assert server.requests == []


def test_tls_is_verified_and_redirects_are_not_followed() -> None:
    options = Connection("https://api.example").options()
    assert options["verify"] is True
    assert options["trust_env"] is False
    built = Connection("https://api.example/v1").build(Request("GET", "/x"), 30.0, _Trace())
    assert str(built.url) == "https://api.example/v1/x"
    assert toy_plugins().provider("toy").settings.model_fields.keys() & {"verify", "verify_tls", "insecure"} == set()
