"""The net itself: whatever lets a canary out is caught, so that the tests that find none say something."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.errors import InvalidRequest
from gateway.exchange import Operation, Request, Response
from gateway.models import Ticker
from gateway.secrets import Raw, Secret
from redaction.net import Leak, Net
from support.colours import COLOURS, opened
from support.loopback import Loopback
from support.toy import TICKER, Toy, account, provider, toy_plugins

log = logging.getLogger("gateway.provider.of.nobody")


@dataclass
class Thing:
    secret: str


class Silent:
    """Shows nothing, and is pickled with everything."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return "Silent()"


def raised(error: BaseException, *, cause: BaseException | None = None, note: str = "") -> BaseException:
    try:
        if note:
            error.add_note(note)
        raise error from cause
    except BaseException as caught:
        return caught


def _logged(net: Net, secret: str) -> None:
    log.debug("signed with %s", secret)


def _logged_as_data(net: Net, secret: str) -> None:
    log.debug("signed", extra={"key": secret})


def _logged_with_traceback(net: Net, secret: str) -> None:
    log.debug("failed", exc_info=raised(ValueError(secret)))


OUTLETS: dict[str, Callable[[Net, str], None]] = {
    "a log": _logged,
    "the data of a log": _logged_as_data,
    "a traceback in a log": _logged_with_traceback,
    "an exception": lambda net, secret: net.error("it", raised(ValueError(f"refused: {secret}"))),
    "its cause": lambda net, secret: net.error("it", raised(ValueError("no"), cause=KeyError(secret))),
    "its note": lambda net, secret: net.error("it", raised(ValueError("no"), note=secret)),
    "its hint": lambda net, secret: net.error("it", raised(InvalidRequest("no", hint=secret))),
    "one of a group": lambda net, secret: net.error("it", ExceptionGroup("no", [ValueError(secret)])),
    "a call that raises": lambda net, secret: net.call("it", lambda: [][int(secret)]),
    "a repr": lambda net, secret: net.show("it", Thing(secret)),
    "one of a list": lambda net, secret: net.show("it", [1, Thing(secret)]),
    "a pickle": lambda net, secret: net.show("it", Silent(secret)),
    "JSON": lambda net, secret: net.show("it", {"note": secret}),
    "a text, percent-encoded": lambda net, secret: net.take("it", f"?key={quote(secret, safe='')}"),
    "a text, in hexadecimal": lambda net, secret: net.take("it", secret.encode().hex()),
    "a text, cut off": lambda net, secret: net.take("it", f"refused: {secret[:24]}"),
    **{
        f"a text, in Base64 behind {length}": lambda net, secret, length=length: net.take(
            "it", base64.b64encode(b"user:"[:length] + secret.encode() + b"!")
        )
        for length in range(4)
    },
    "a text in UTF-16": lambda net, secret: net.take("it", secret.encode("utf-16-le")),
}


@pytest.mark.parametrize("outlet", OUTLETS)
def test_it_is_caught(outlet: str) -> None:
    with pytest.raises(Leak, match=r"(configured key|a part of one) is in"), Net() as net:
        OUTLETS[outlet](net, net.new("configured key"))


def test_a_file_is_looked_into(tmp_path: Path) -> None:
    net = Net()
    (tmp_path / "gateway.db").write_bytes(b"nothing")
    (tmp_path / "gateway.db-wal").write_bytes(b"\0\1" + net.new("key").encode() + b"\2")
    net.files(tmp_path)
    with pytest.raises(Leak, match=r"the file gateway\.db-wal"):
        net.check()


def test_what_has_no_known_beginning_is_looked_for_whole() -> None:
    with pytest.raises(Leak, match="vault key is in it"), Net({"vault key": "c0de" * 16}) as net:
        net.take("it", f"opened with {'c0de' * 16}")


def test_what_is_hidden_is_not_caught() -> None:
    with Net() as net:
        secret = Secret(net.new("key"))
        net.show("it", [secret, {"key": secret}, Raw({"api_key": secret.reveal()})])
        log.debug("signed with %s", secret)


def test_without_canaries_there_is_nothing_to_find() -> None:
    with pytest.raises(AssertionError, match="nothing to look for"), Net():
        pass


# Adapters that let out what they were given


class Logging(Toy):
    def get_ticker(self, market: str) -> Operation[Ticker]:
        log.debug("the key is %s", self.settings.auth.key.reveal())  # type: ignore[union-attr]
        return (yield from super().get_ticker(market))


class Encoding(Toy):
    """As a header of Basic authentication is, which nobody knows to be the key."""

    def get_ticker(self, market: str) -> Operation[Ticker]:
        found = yield from super().get_ticker(market)
        encoded = base64.b64encode(self.settings.auth.key.encode()).decode()  # type: ignore[union-attr]
        return found.model_copy(update={"raw": Raw({"request": f"Basic {encoded}"})})


class Addressing(Toy):
    def get_ticker(self, market: str) -> Operation[Ticker]:
        key = self.settings.auth.key.encode().hex()  # type: ignore[union-attr]
        yield Request("GET", f"/ticker/{key}", parse=Response.json)
        raise AssertionError


class Raising(Toy):
    def get_ticker(self, market: str) -> Operation[Ticker]:
        key = self.settings.auth.key.reveal()  # type: ignore[union-attr]
        raise InvalidRequest("no such market", hint=f"the key was {key}")
        yield


def asked(net: Net, colour: str, adapter: type[Toy]) -> None:
    """A call through this adapter, in the net."""
    plugins, key = toy_plugins(provider(adapter=adapter)), net.new("configured key")
    with (
        net,
        Loopback(app=lambda seen: TICKER) as server,
        opened(colour, plugins=plugins, accounts={"shop": account(server.url, key=key)}) as gw,
    ):
        net.watch(gw.raw)
        net.call("the ticker", lambda: gw.markets.ticker("BTC/USD", account="shop"))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("adapter", [Logging, Encoding, Addressing, Raising])
def test_an_adapter_that_leaks_is_found(adapter: type[Toy], colour: str) -> None:
    with pytest.raises(Leak):
        asked(Net(), colour, adapter)


@pytest.mark.parametrize("colour", COLOURS)
def test_one_that_does_not_is_not(colour: str) -> None:
    net = Net()
    asked(net, colour, Toy)
    assert net.errors == []
