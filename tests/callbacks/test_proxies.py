"""The client's address behind proxies: only what trusted ones say, from the last hop on."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callbacks.bell import Shop, cart, inbox
from gateway.callbacks.proxies import client_address

TRUSTED = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "2001:db8:10::/48")]


def found(peer: str | None, forwarded_for: str | None = None, forwarded: str | None = None) -> str | None:
    headers = {"x-forwarded-for": forwarded_for, "forwarded": forwarded}
    return client_address(peer, {name: value for name, value in headers.items() if value is not None}, TRUSTED)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        # Whoever is not trusted may say what he likes.
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        # The first hop is the client's own words.
        ("10.0.0.1", "203.0.113.66, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.66, 198.51.100.9, 10.0.0.2", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "rubbish", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.9:4711", "198.51.100.9"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("2001:db8:10::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.9", "198.51.100.9"),
        ("::ffff:192.0.2.1", "198.51.100.9", "192.0.2.1"),
        (None, "198.51.100.9", None),
        ("", None, None),
        ("testclient", "198.51.100.9", None),
    ],
)
def test_x_forwarded_for(peer: str | None, forwarded_for: str | None, expected: str | None) -> None:
    assert found(peer, forwarded_for) == expected


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("for=198.51.100.9", "198.51.100.9"),
        ("for=203.0.113.66, for=198.51.100.9;proto=https;by=10.0.0.9", "198.51.100.9"),
        ('For="[2001:db8::7]:4711"', "2001:db8::7"),
        ("for=198.51.100.9, proto=https", "10.0.0.1"),
        ("for=198.51.100.9, for=_hidden, for=10.0.0.2", "10.0.0.2"),
        ("for=198.51.100.9, for=unknown", "10.0.0.1"),
        (";;==,", "10.0.0.1"),
    ],
)
def test_forwarded(forwarded: str, expected: str) -> None:
    assert found("10.0.0.1", forwarded=forwarded) == expected
    assert found("192.0.2.1", forwarded=forwarded) == "192.0.2.1"


def test_two_headers_that_agree_are_believed_and_others_are_not() -> None:
    assert found("10.0.0.1", "198.51.100.9", "for=198.51.100.9") == "198.51.100.9"
    # The proxy writes one of them, and the client the other.
    assert found("10.0.0.1", "198.51.100.9", "for=203.0.113.66") == "10.0.0.1"


@given(st.text(), st.text(), st.sampled_from(["10.0.0.1", "192.0.2.1"]))
def test_no_header_is_too_strange(forwarded_for: str, forwarded: str, peer: str) -> None:
    assert found(peer, forwarded_for, forwarded) is not None


def test_it_is_recorded_and_admits_nothing(shop: Shop) -> None:
    with shop.gateway(trusted_proxies=["10.0.0.0/8"]) as gw:
        gw.orders.create(cart(), account="shop")
        url = shop.callback_of("n1")
        for client, headers in (
            ("10.0.0.1", [("X-Forwarded-For", "203.0.113.66"), ("x-forwarded-for", "198.51.100.9")]),
            ("192.0.2.1", [("X-Forwarded-For", "10.0.0.1")]),
        ):
            sent = {"method": "GET", "headers": headers, "body": b"", "client": client}
            assert gw.callbacks.receive(url=url, **sent) == 200
            assert gw.callbacks.receive(url=url[:-1], **sent) == 404
            gw.callbacks.process()
        assert [row.client for row in inbox(gw)] == ["198.51.100.9", "192.0.2.1"]


def test_the_registered_address_is_what_is_kept_and_proved(shop: Shop) -> None:
    """Behind a proxy that strips a prefix and changes the host, the provider still signs what it was given."""
    seen = []
    with shop.gateway() as gw:
        gw.orders.create(cart(), account="shop")
        adapter = gw.core.account("shop").adapter
        plain = adapter.read_callback
        adapter.read_callback = lambda callback: (seen.append(callback), plain(callback))[1]
        registered = shop.callback_of("n1")
        path = registered.removeprefix("https://shop.example/payments")
        for url in (registered, f"http://10.0.0.7:8000{path}", path, f"/payments{path}", f"{path}?a=1&b=%2F"):
            assert gw.callbacks.receive(method="POST", url=url, headers={"X-Test": "1"}, body=b"{}") == 200
        assert {callback.url for callback in seen} == {registered, f"{registered}?a=1&b=%2F"}
        assert dict(seen[0].headers) == {"x-test": "1"}
        token = registered.rpartition(".")[2]
        assert all(token not in row.url for row in inbox(gw))
