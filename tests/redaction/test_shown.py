"""What is said of secrets that are wrong, in the wrong place or damaged; callbacks that carry them; heads of answers
that are none; and cassettes.
"""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cassettes.record import recording
from cassettes.scrubbing import SITE
from gateway import Gateway
from gateway.callbacks.tokens import attempt_url
from gateway.config import load_settings
from gateway.errors import InvalidRequest
from gateway.keyring import Passphrase, RawKey, Vault
from gateway.models import NewKey, OrderRequest
from gateway.money import Money
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway.testing import SandboxServer
from gateway_aurpay.sandbox import AurpaySandbox
from redaction.net import Net
from redaction.test_traffic import KINDS, Kind, Scene, work
from support.colours import COLOURS, opened

NOWHERE = "http://127.0.0.1:9"
MASTER = RawKey(Secret("ab" * 32))


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Settings


def mistakes(kind: Kind, parts: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The account's table with a mistake beside the secrets, or in them."""
    auth: dict[str, Any] = {"kind": kind.name, **parts, **dict(kind.public)}
    good: dict[str, Any] = {"provider": kind.provider, "environment": "sandbox", "base_url": NOWHERE, "auth": auth}
    main = kind.secret[0]
    yield good | {"auth": {**auth, "region": "eu"}}
    yield good | {"auth": {**auth, "kind": "nothing"}}
    yield good | {"auth": {**auth, "kind": parts[main]}}
    yield good | {"auth": {**auth, main: [parts[main]]}}
    yield good | {"auth": {**auth, main: {"text": parts[main]}}}
    yield good | {"auth": {**auth, main: f"{parts[main]}\r\nX: y"}}
    yield good | {"auth": {**{name: text for name, text in auth.items() if name != main}, f"{main}s": parts[main]}}
    yield good | {"auth": parts[main]}
    yield good | {"timeout": "soon"}
    yield good | {"timeout": parts[main]}
    yield good | {"environment": parts[main]}
    yield good | {"base_url": f"https://{parts[main]}@provider.invalid"}
    yield good | {"proxy": f"ftp://user:{parts[main]}@proxy.invalid"}
    yield good | {"egress": parts[main]}
    yield good | {"limits": {"per_day": parts[main]}}
    yield good | {"callback": {"secret": {"text": parts[main]}}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.provider}-{kind.name}")
def test_a_mistake_beside_a_secret_does_not_show_it(kind: Kind) -> None:
    plugins = load_plugins()
    with Net() as net:
        parts = {name: net.new(f"{name} of {kind.provider}") for name in kind.secret}
        refused = 0
        for table in mistakes(kind, parts):
            before = len(net.errors)
            net.call("the gateway", lambda table=table: Gateway(accounts={"it": table}, store="sqlite://").close())
            settings = plugins.provider(kind.provider).settings
            if isinstance(table["auth"], dict) and table["auth"]["kind"] in parts.values():
                continue  # what stands where no secret does, pydantic names; the gateway does not
            own = {name: value for name, value in table.items() if name != "provider"}
            net.call("the model", lambda own=own, settings=settings: settings.model_validate(own))
            refused += len(net.errors) > before
        assert refused >= 14
        assert any(isinstance(error, ValidationError) for error in net.errors)


@pytest.mark.parametrize(
    "table",
    [
        {"key": "{}"},
        {"key": "{}", "passphrase": "{}"},
        {"passphrase": ["{}"]},
        {"key": "{}", "att": "x"},
        {"key_file": 5, "key": "{}"},
        {"external": "{}"},
        {"at": {"passphrase": "{}"}},
    ],
)
def test_a_mistake_about_the_vault_does_not_show_its_key(table: dict[str, Any], tmp_path: Path) -> None:
    with Net() as net:
        filled = json.loads(json.dumps(table).replace("{}", net.new("vault key")))
        at = {"at": str(tmp_path / "vault")}
        net.call("the settings", lambda: load_settings(store="sqlite://", vault=at | filled))
        auth = {"kind": "api-key", "api_key": "vault:it/key"}
        account = {"provider": "aurpay", "environment": "sandbox", "auth": auth}
        given: dict[str, Any] = {"accounts": {"it": account}, "store": "sqlite://", "vault": at | filled}
        net.call("the gateway", lambda: Gateway(**given).close())
        assert net.errors


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "not a label!"},
        {"label": ""},
        {"pool": "no pool"},
        {"permissions": ["everything"]},
        {"permissions": []},
        {"networks": ["here"]},
        {"created_at": "yesterday"},
        {"expires_at": datetime(2025, 1, 1)},  # noqa: DTZ001 - that is the mistake
        {"more": 1},
        {"kind": 5},
    ],
)
def test_a_mistake_in_a_new_key_does_not_show_it(wrong: dict[str, Any]) -> None:
    with Net() as net:
        secret = net.new("secret of a new key")
        for parts in ({"secret": Secret(secret)}, {"secret": secret}, {"secret": [secret]}):
            given = {"label": "Main1", "parts": parts, **wrong}
            net.call("a new key", lambda given=given: NewKey(**given))
            net.call("a new key, from data", lambda given=given: NewKey.model_validate(given))
        assert len(net.errors) == 6
        refused = [error for error in net.errors if isinstance(error, InvalidRequest)]
        assert len(refused) == 3
        assert all(error.__context__ is None for error in refused), "what was given is in it, also where it is hidden"


def test_a_new_key_shows_nothing() -> None:
    with Net() as net:
        made = NewKey(label="Main1", parts={"secret": Secret(net.new("secret of a new key"))})
        net.show("a new key", made)


# The vault


def test_the_vault_gives_nothing_away(tmp_path: Path) -> None:
    file = tmp_path / "vault"
    with Net() as net:
        words, secret = net.new("passphrase"), net.new("secret in the vault")
        vault = Vault.create(file, Passphrase(Secret(words)))
        vault.put_many({("it", "Main1"): Secret(secret)})
        net.files(tmp_path)
        net.show("the vault", [vault, Passphrase(Secret(words)), vault.names(), vault.get("it", "Main1")])
        net.call("another passphrase", lambda: Vault(file, Passphrase(Secret(net.new("wrong passphrase")))).get_many())
        net.call("no such secret", lambda: vault.get("it", "Nobody1"))
        whole = file.read_bytes()
        for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:-9] + b"!" + whole[-8:], b""):
            file.write_bytes(damaged)
            net.call("a damaged vault", lambda: Vault(file, Passphrase(Secret(words))).get_many())
        assert len(net.errors) == 6
        file.write_bytes(whole)
        vault.rekey(MASTER)
        net.files(tmp_path)


# Callbacks


@pytest.mark.parametrize("ring", [False, True], ids=["configured", "ring"])
def test_what_proves_callbacks_is_not_kept(ring: bool, colour: str, tmp_path: Path) -> None:
    with Net() as net:
        sandbox = AurpaySandbox()
        token, secret = net.new("callback token"), net.new("callback secret")
        sandbox.change_callback_secrets(token, secret)
        sandbox.add_api_key(api_key := net.new("configured key"))
        Vault.create(tmp_path / "vault", MASTER)
        with SandboxServer([sandbox]) as server:
            account = server.account("aurpay") | {"auth": {"kind": "api-key", "api_key": api_key}}
            if ring:
                account = {name: value for name, value in account.items() if name != "callback"}
                account["auth"] = {"kind": "ring"}
            given: dict[str, Any] = {"store": f"sqlite:///{tmp_path / 'gateway.db'}", "plugins": load_plugins()}
            given |= {"public_base_url": "https://shop.example/pay", "callback_key": net.new("callback key")}
            given |= {"vault": {"at": str(tmp_path / "vault")}, "vault_key": MASTER, "accounts": {"it": account}}
            with opened(colour, **given) as gw:
                net.watch(gw.raw)
                if ring:
                    proof = {"secret": Secret(secret), "token": Secret(token)}
                    gw.keys.add(NewKey(label="calls", kind="callback", parts=proof), account="it")
                    gw.keys.add(NewKey(label="main", kind="api-key", parts={"api_key": Secret(api_key)}), account="it")
                asked = OrderRequest(reference="cart-1", price=Money("25", "USD"), pay_with="USDT@tron")
                order = gw.orders.create(asked, account="it")
                attempt = gw.core.database().read(_attempt)
                url = attempt_url("https://shop.example/pay", Secret(net.canaries["callback key"]), "it", attempt)
                date = datetime.now(UTC).isoformat(timespec="milliseconds")
                digest = hmac.digest(secret.encode(), f"{date} | {url}".encode(), "sha256")
                good = {"Date": date, "Signature": base64.b64encode(digest).decode(), "Callback-Token": token}
                body = json.dumps({"order_id": order.provider_id, "status": "PAID"})
                statuses = [
                    net.call(
                        "a callback",
                        lambda headers=headers, body=body: gw.callbacks.receive(
                            method="POST",
                            url=url,
                            headers=[*headers.items(), ("Content-Type", "application/json")],
                            body=body.encode(),
                            client="192.0.2.7",
                        ),
                    )
                    for headers, body in (
                        (good, body),
                        (good | {"Signature": "wrong"}, body),
                        (good | {"X-Debug": f"signed with {secret}, {token} and {api_key}"}, body),
                        (good, json.dumps({"order_id": order.provider_id, "seen": [secret, token, api_key]})),
                        (good | {"Signature": secret}, f"not JSON: {secret} {token} {api_key}"),
                    )
                ]
                assert statuses == [200] * 5
                gw.raw.run(until_idle=True) if colour == "sync" else gw.runner.run(gw.raw.run(until_idle=True))
                net.show("the events", list(gw.events.since(0)))
                net.show("the order", gw.orders.get("cart-1"))
                net.files(tmp_path)
        net.files(tmp_path)


def _attempt(connection: Any) -> str:
    from sqlalchemy import select

    from gateway.store.tables import attempts

    return str(connection.execute(select(attempts.c.attempt_id)).scalar_one())


# Answers that are none


@contextmanager
def answering(head: Callable[[bytes], bytes]) -> Iterator[str]:
    """A server that answers every call with these bytes, made of what it was sent, and hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                sent = connection.recv(65536)
                connection.sendall(head(b" ".join(sent.split())))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


HEADS: dict[str, Callable[[bytes], bytes]] = {
    "no status line": lambda sent: sent + b"\r\n\r\n",
    "a status line with it": lambda sent: b"HTTP/1.1 " + sent + b"\r\n\r\n",
    "a header that is none": lambda sent: b"HTTP/1.1 200 OK\r\nX Echo " + sent + b": 1\r\n\r\n",
    "a length that is none": lambda sent: b"HTTP/1.1 200 OK\r\nContent-Length: " + sent + b"\r\n\r\n",
    "a body that ends too soon": lambda sent: (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\nX-Echo: " + sent + b"\r\n\r\n" + sent
    ),
    "chunks that are none": lambda sent: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + sent + b"\r\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_an_answer_that_is_none_is_not_quoted(head: str, colour: str) -> None:
    with Net() as net, answering(HEADS[head]) as url:
        auth = {"kind": "api-key", "api_key": net.new("configured key")}
        account = {"provider": "aurpay", "environment": "sandbox", "base_url": url, "auth": auth, "timeout": 1}
        with opened(colour, plugins=load_plugins(), accounts={"it": account}) as gw:
            net.watch(gw.raw)
            net.call("a write", lambda: gw.account("it").request("POST", "/nothing", json={}))
            net.call("a read", lambda: gw.keys.verify(account="it"))
        assert len(net.errors) == 2


# Cassettes


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name != "login"], ids=lambda kind: kind.name)
@pytest.mark.parametrize("mode", ["genuine", "repeating", "401", "500", "200 html"])
def test_a_cassette_has_no_secret(kind: Kind, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login's token is taken out by the name of its field: `test_scrubbed` looks at the recordings themselves."""
    file = tmp_path / "cassettes" / "it.yaml"
    net = Net()  # for the file alone: the recorder's own logs are a developer's
    scene = Scene(kind, net, tmp_path, monkeypatch, ring=False)
    with (
        scene.server,
        opened("sync", plugins=load_plugins(), accounts={"it": scene.account()}, clock=scene.clock) as gw,
        recording(file, gw.core.account("it"), SITE, "recorded by a test"),
    ):
        scene.front.mode = mode
        for what, call in work(gw, kind, configured=True):
            net.call(what, call)
    net.caught.clear()
    net.files(file.parent)
    net.check()
    recorded = file.read_text(encoding="utf-8")
    assert recorded.startswith("# recorded by a test\n")
    assert recorded.count("uri: ") >= 3
