"""A key takes another's place while calls go on without a pause: none of them fails, and every write is made once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway import Money, OrderRequest
from gateway.errors import AuthenticationFailed, Conflict, InvalidRequest, PermissionDenied, UnsupportedOperation
from gateway.models import CustomerRequest, NewKey, Permission, TradeRequest
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway.testing import SandboxServer
from gateway.testing.sandbox import OutgoingCallback
from gateway_aurex.sandbox import AurexSandbox
from gateway_aurpay.sandbox import AurpaySandbox
from gateway_emirex.sandbox import EmirexSandbox
from ring.ringed import MASTER, Place, Service, actions, cart, failures, new, ring_account
from ring.scripts import PATIENCE, Script, pause, told
from support.colours import Opened
from support.loopback import Hold, Loopback
from support.toy import good
from support.virtual import VirtualClock

WORKERS = 3


class Load:
    """Work that goes on until it is told to end. `write(gateway, name)` and `read(gateway)` are one call each."""

    def __init__(self, write: Callable[[Any, str], Any], read: Callable[[Any], Any]) -> None:
        self._write, self._read = write, read
        self.written: list[str] = []
        self.over = False

    def worker(self, gateway: Any, index: int) -> Script:
        number = 0
        while not self.over:
            number += 1
            name = f"w{index}-{number}"
            yield self._write(gateway, name)
            yield self._read(gateway)
            self.written.append(name)

    def goes_on(self, more: int = 2) -> Script:
        """Wait for this much more work of each worker."""
        wanted, end = len(self.written) + more * WORKERS, time.monotonic() + PATIENCE
        while len(self.written) < wanted:
            assert time.monotonic() < end, "the work does not go on"
            yield pause

    def run(self, gw: Opened, colour: str, rotation: Callable[[Any], Script]) -> None:
        """Keep the workers at it for as long as the rotation takes."""

        def one(gateway: Any, index: int) -> Script:
            if index:
                yield from self.worker(gateway, index)
                return
            try:
                yield from rotation(gateway)
            finally:
                self.over = True

        results = gw.together(WORKERS + 1, told(colour, one))
        assert results == [None] * (WORKERS + 1)


def idle(gw: Opened, account: str, label: str) -> Script:
    """Until no call is under way with this key."""
    end = time.monotonic() + PATIENCE
    while any(held.in_flight for held in gw.core.account(account).ring.keys if held.label == label):
        assert time.monotonic() < end
        yield pause


# toy


@pytest.mark.parametrize("kind, patient", [("numbered", True), ("key", False)], ids=["in order", "ended at once"])
def test_no_call_fails(kind: str, patient: bool, colour: str, place: Place) -> None:
    """Also where the provider ends the old key while calls are under way with it."""
    service, clock = Service("secret-key1", "secret-key2"), VirtualClock()
    load = Load(
        lambda gateway, name: gateway.orders.create(cart(name), account="shop", deadline=3600),
        lambda gateway: gateway.account("shop").request("GET", "/me", deadline=3600),
    )
    with Loopback(app=service) as server, place.gateway(colour, server.url, clock=clock) as gw:
        gw.keys.add(new("key1", kind=kind), account="shop")

        def rotation(gateway: Any) -> Script:
            yield from load.goes_on()
            rotated = yield gateway.keys.rotate("key1", new("key2", kind=kind), account="shop")
            assert (rotated.old.state, rotated.new.state) == ("retiring", "active")
            if patient:
                yield from idle(gw, "shop", "key1")
            service.end("secret-key1")
            yield from load.goes_on()
            clock.advance(40)
            yield from idle(gw, "shop", "key1")
            revoked = yield gateway.keys.revoke("key1", account="shop", ended=True)
            assert revoked.state == "revoked"
            yield from load.goes_on()

        load.run(gw, colour, rotation)
        assert dict(service.written) == dict.fromkeys(load.written, 1)
        assert list(dict.fromkeys(service.keys_used())) == ["secret-key1", "secret-key2"]
        if patient:
            assert service.refused == []
        assert place.kept() == {"shop/key2": "secret-key2"}


def test_what_is_under_way_holds_the_old_key(colour: str, place: Place) -> None:
    service, clock = Service("secret-key1", "secret-key2"), VirtualClock()
    with Loopback(app=service) as server, place.gateway(colour, server.url, clock=clock) as gw:
        gw.keys.add(new("key1"), account="shop")

        def both(gateway: Any, index: int) -> Script:
            if index == 0:
                server.plan(Hold(then=good({"id": "held-1", "status": "open", "amount": "1.00"})))
                order = yield gateway.orders.create(cart("held"), account="shop", deadline=3600)
                return order.provider_id
            end = time.monotonic() + PATIENCE
            while not any(seen.path == "/orders" for seen in server.requests):
                assert time.monotonic() < end
                yield pause
            rotated = yield gateway.keys.rotate("key1", new("key2"), account="shop")
            assert rotated.in_flight == 1
            assert rotated.guide.action == "revoke"
            clock.advance(600)
            try:
                yield gateway.keys.revoke("key1", account="shop", ended=True)
            except Conflict as conflict:
                server.release()
                return str(conflict), conflict.retryable
            raise AssertionError("a key was revoked while a call was under way with it")

        order, refusal = gw.together(2, told(colour, both))
        assert order == "held-1"
        assert not isinstance(refusal, Exception), refusal
        assert "1 calls are under way with it" in refusal[0]
        assert refusal[1] is True
        assert gw.keys.get("key1", account="shop").state == "retiring"
        assert place.kept() == {"shop/key1": "secret-key1", "shop/key2": "secret-key2"}
        assert gw.keys.revoke("key1", account="shop", ended=True).state == "revoked"
        assert place.kept() == {"shop/key2": "secret-key2"}


def test_others_may_still_use_the_old_key_for_a_while(colour: str, place: Place) -> None:
    """For as long as another process needs to learn of it, and one of its calls may take."""
    service, clock = Service("secret-key1", "secret-key2"), VirtualClock()
    with Loopback(app=service) as server, place.gateway(colour, server.url, clock=clock) as gw:
        gw.keys.add(new("key1"), account="shop")
        gw.keys.rotate("key1", new("key2"), account="shop")
        for passed in (0, 34):
            clock.advance(passed)
            with pytest.raises(Conflict, match="calls may still be under way") as caught:
                gw.keys.revoke("key1", account="shop", ended=True)
            assert f"repeat it in {35 - passed} s" in str(caught.value)
        clock.advance(1)
        with pytest.raises(UnsupportedOperation):
            gw.keys.revoke("key1", account="shop")
        gw.keys.revoke("key1", account="shop", ended=True, by="ada")
        gw.keys.revoke("key1", account="shop", ended=True)
        assert actions(gw.keys.audit()) == ["added", "retired", "added", "revoked"]


# The sandboxes


def test_at_aurex(colour: str, place: Place) -> None:
    clock = VirtualClock()
    sandbox = AurexSandbox(keys=["one", "two"], rate_limit=False)
    load = Load(
        lambda gateway, name: gateway.customers.create(
            CustomerRequest(reference=name, first_name=name, last_name="B"), account="cards", deadline=86_400
        ),
        lambda gateway: gateway.customers.get("c0", account="cards", deadline=86_400),
    )
    with SandboxServer([sandbox]) as server:
        account = {**server.account("aurex"), "auth": {"kind": "ring"}}
        with place.gateway(colour, {"cards": account}, plugins=load_plugins(), clock=clock) as gw:
            gw.keys.add(NewKey(label="one", parts={"api_key": Secret("one")}), account="cards")
            gw.customers.create(CustomerRequest(reference="c0", first_name="c0", last_name="B"), account="cards")

            def rotation(gateway: Any) -> Script:
                yield from load.goes_on()
                yield gateway.keys.rotate(
                    "one", NewKey(label="two", parts={"api_key": Secret("two")}), account="cards", deadline=86_400
                )
                sandbox.revoke_key("one")
                yield from load.goes_on()
                clock.advance(40)
                yield from idle(gw, "cards", "one")
                yield gateway.keys.revoke("one", account="cards", ended=True)
                yield from load.goes_on()

            load.run(gw, colour, rotation)
        assert len(sandbox.ledger()["users"]) == len(load.written) + 1
        assert place.kept() == {"cards/two": "two"}


def test_at_emirex(colour: str, place: Place) -> None:
    """Its requests are numbered, each key's for itself."""
    clock = VirtualClock(datetime.now(UTC))
    sandbox = EmirexSandbox(public_key="P1", secret="S1")
    sandbox.add_key("P2", "S2")
    load = Load(
        lambda gateway, name: gateway.trades.create(
            TradeRequest(reference=name, market="BTC/USDC", side="buy", kind="limit", volume="0.01", rate="100"),
            account="exchange",
            deadline=600,
        ),
        lambda gateway: gateway.wallets.list(account="exchange", deadline=600),
    )

    def key(number: int) -> NewKey:
        parts = {"public_key": Secret(f"P{number}"), "secret": Secret(f"S{number}")}
        return NewKey(label=f"Key{number}", parts=parts, permissions=frozenset({Permission.READ, Permission.TRADE}))

    with SandboxServer([sandbox]) as server:
        account = {**server.account("emirex"), "auth": {"kind": "ring"}}
        with place.gateway(colour, {"exchange": account}, plugins=load_plugins(), clock=clock) as gw:
            gw.keys.add(key(1), account="exchange")

            def rotation(gateway: Any) -> Script:
                yield from load.goes_on()
                yield gateway.keys.rotate("Key1", key(2), account="exchange", deadline=600)
                yield from idle(gw, "exchange", "Key1")
                sandbox.delete_key("P1")
                yield from load.goes_on()
                clock.advance(40)
                yield gateway.keys.revoke("Key1", account="exchange", ended=True)
                yield from load.goes_on()

            load.run(gw, colour, rotation)
        assert len(sandbox.ledger()["trades"]) == len(load.written)
        assert {record.status for record in server.requests["emirex"]} == {200}
        assert place.kept() == {"exchange/Key2": "S2"}


# Another process


class Child:
    """A process of its own that works on the same store and vault without a pause."""

    def __init__(self, place: Place, url: str) -> None:
        given = {"url": url, "store": place.store, "vault": str(place.vault_file), "key": MASTER}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("rotating_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()

    def ended(self) -> dict[str, Any]:
        """Tell it to stop; what it did."""
        out, _ = self.process.communicate("stop\n", timeout=PATIENCE)
        assert self.process.returncode == 0
        said: dict[str, Any] = json.loads(out.splitlines()[-1])
        return said

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def test_in_another_process_too(place: Place) -> None:
    """It learns of the new key within `keys.refresh`, and at once when the old one is refused."""
    service = Service("secret-key1", "secret-key2", "secret-key3")
    with Loopback(app=service) as server:
        account = ring_account(server.url, timeout=1)
        with place.gateway("sync", {"shop": account}, keys={"refresh": "1s"}) as gw:
            gw.keys.add(new("key1"), account="shop", deadline=30)
            child = Child(place, server.url)
            try:
                until(lambda: len(service.done) > 10)
                gw.keys.rotate("key1", new("key2"), account="shop", deadline=30)
                # At the latest then: one second, and a call that was under way.
                started = time.monotonic()
                until(lambda: service.keys_used()[-5:] == ["secret-key2"] * 5)
                assert time.monotonic() - started < 20
                service.end("secret-key1")
                refusals = list(service.refused)
                # The next one is ended before the child can know.
                gw.keys.rotate("key2", new("key3"), account="shop", deadline=30)
                service.end("secret-key2")
                until(lambda: service.keys_used()[-5:] == ["secret-key3"] * 5)
                for label in ("key1", "key2"):

                    def revoked(label: str = label) -> bool:
                        try:
                            return bool(gw.keys.revoke(label, account="shop", ended=True).state == "revoked")
                        except Conflict:
                            return False

                    until(revoked)
                before = len(service.done)
                until(lambda: len(service.done) > before + 10)
                said = child.ended()
            finally:
                child.close()
        assert refusals == []
        assert said["errors"] == []
        assert said["written"] > 10
        assert dict(service.written) == {f"child-{number}": 1 for number in range(1, said["written"] + 1)}
        assert place.kept() == {"shop/key3": "secret-key3"}


# Callback secrets


CALLBACKS = {"public_base_url": "https://shop.example/payments", "callback_key": "a-callback-key-of-the-tests"}


class Bells:
    """Aurpay's sandbox with orders that call back when they are paid, strictly proven by the ring."""

    def __init__(self, server: SandboxServer, sandbox: AurpaySandbox) -> None:
        self.sandbox = sandbox
        self.made: list[OutgoingCallback] = []
        sandbox.emit = self.made.append
        self.account = {**server.account("aurpay"), "callback": {"strict": True}}
        secrets = self.account.pop("auth")
        self.account["auth"] = {"kind": "ring"}
        self.api_key = NewKey(label="api", kind="api-key", parts={"api_key": Secret(secrets["api_key"])})

    def ring(self, gw: Opened, orders: int) -> list[str]:
        """Paid orders bring callbacks: these many to be paid."""
        gw.keys.add(self.api_key, account="shop")
        gw.keys.add(proof("old"), account="shop")
        requests = [
            OrderRequest(reference=f"o{number}", price=Money("1.00", "USD"), pay_with="USDT@tron")
            for number in range(orders)
        ]
        return [str(gw.orders.create(request, account="shop").provider_id) for request in requests]

    def pay(self, order: str) -> OutgoingCallback:
        before = len(self.made)
        self.sandbox.pay(order)
        assert len(self.made) == before + 1
        return self.made[-1]


def proof(name: str) -> NewKey:
    parts = {"secret": Secret(f"{name}-secret"), "token": Secret(f"{name}-token")}
    return NewKey(label=name, kind="callback", parts=parts)


def received(gateway: Any, callback: OutgoingCallback) -> Any:
    return gateway.callbacks.receive(
        method=callback.method, url=callback.url, headers=callback.headers, body=callback.body, client="192.0.2.7"
    )


def test_callback_secrets(colour: str, place: Place) -> None:
    """Callbacks arrive all the time, the last ones with the old proof after the new one is in force."""
    clock = VirtualClock(datetime.now(UTC))
    sandbox = AurpaySandbox(callback_secret="old-secret")
    sandbox.change_callback_secrets("old-token", "old-secret")
    with SandboxServer([sandbox]) as server:
        bells = Bells(server, sandbox)
        accounts = {"shop": bells.account}
        with place.gateway(colour, accounts, plugins=load_plugins(), clock=clock, **CALLBACKS) as gw:
            orders = bells.ring(gw, 40)
            statuses: list[int] = []
            over: list[bool] = []

            def ringing(gateway: Any) -> Script:
                late: list[OutgoingCallback] = []
                while orders and not over:
                    # One arrives at once, another some time after it was made.
                    late.append(bells.pay(orders.pop()))
                    for callback in (bells.pay(orders.pop()), *([late.pop(0)] if len(late) > 2 else [])):
                        statuses.append((yield received(gateway, callback)))
                    yield pause
                for callback in late:
                    statuses.append((yield received(gateway, callback)))

            def more(count: int) -> Script:
                wanted, end = len(statuses) + count, time.monotonic() + PATIENCE
                while len(statuses) < wanted and orders:
                    assert time.monotonic() < end
                    yield pause

            def rotation(gateway: Any, index: int) -> Script:
                if index:
                    yield from ringing(gateway)
                    return
                try:
                    yield from more(3)
                    yield gateway.keys.rotate("old", proof("young"), account="shop")
                    yield from more(3)
                    sandbox.change_callback_secrets("young-token", "young-secret")
                    yield from more(9)
                finally:
                    over.append(True)

            assert gw.together(2, told(colour, rotation)) == [None, None]
            assert len(statuses) > 14
            assert set(statuses) == {200}
            assert {callback.proof for callback in gw.callbacks.list(limit=200)} == {"matches"}
            clock.advance(40)
            gw.keys.revoke("old", account="shop", ended=True)
            last = bells.pay(orders.pop())
            assert received(gw, sandbox.forged(last)) == 404
            assert received(gw, last) == 200
            # From now on the old proof proves nothing.
            sandbox.change_callback_secrets("old-token", "old-secret")
            assert received(gw, bells.pay(orders.pop())) == 404


def test_callback_secrets_in_a_process_that_only_listens(colour: str, any_place: Place) -> None:
    """It has sent nothing, so nothing else had it read the ring."""
    clock = VirtualClock(datetime.now(UTC))
    sandbox = AurpaySandbox()
    sandbox.change_callback_secrets("old-token", "old-secret")
    with SandboxServer([sandbox]) as server:
        bells = Bells(server, sandbox)
        given: dict[str, Any] = {"plugins": load_plugins(), "clock": clock, **CALLBACKS}
        with (
            any_place.gateway(colour, {"shop": bells.account}, **given) as shop,
            any_place.gateway(colour, {"shop": bells.account}, **given) as listener,
        ):
            orders = bells.ring(shop, 4)
            first = bells.pay(orders.pop())
            assert received(listener, sandbox.forged(first)) == 404
            assert received(listener, first) == 200
            # It cannot know the new secrets yet, and reads the ring again before it says so.
            shop.keys.rotate("old", proof("young"), account="shop")
            late = bells.pay(orders.pop())
            sandbox.change_callback_secrets("young-token", "young-secret")
            assert received(listener, bells.pay(orders.pop())) == 200
            assert received(listener, late) == 200
            assert Counter(callback.proof for callback in listener.callbacks.list()) == {"matches": 3, "differs": 1}


def test_no_proof_is_taken_on_trust_while_the_vault_is_away(colour: str, place: Place) -> None:
    clock = VirtualClock(datetime.now(UTC))
    sandbox = AurpaySandbox()
    sandbox.change_callback_secrets("old-token", "old-secret")
    with SandboxServer([sandbox]) as server:
        bells = Bells(server, sandbox)
        given: dict[str, Any] = {"plugins": load_plugins(), "clock": clock, **CALLBACKS}
        with place.gateway(colour, {"shop": bells.account}, **given) as shop:
            callback = bells.pay(bells.ring(shop, 1)[0])
        away = place.vault_file.rename(place.folder / "away")
        with place.gateway(colour, {"shop": bells.account}, **given) as listener:
            assert received(listener, callback) == 503
            away.rename(place.vault_file)
            assert received(listener, callback) == 200


def test_what_a_rotation_says(colour: str, place: Place) -> None:
    """What the new key does not say is as it was, and what cannot be is told before anything is changed."""
    service = Service("secret-key1", "secret-key2", "secret-key3")
    with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
        was = new("key1", permissions=[Permission.READ], networks=["203.0.113.7"], pool="low")
        gw.keys.add(was, account="shop")
        service.forget()
        for wrong, kind, said in (
            (new("key1"), Conflict, "has a key 'key1' already"),
            (new("unlabelled"), InvalidRequest, "no digit"),
            (new("key2", "secret-key1"), Conflict, "in the ring of shop as key1 already"),
            (new("key2", pool="high"), InvalidRequest, "this one would be of high"),
            (new("key2", permissions=[Permission.TRADE]), InvalidRequest, "no key could read any more"),
        ):
            with pytest.raises(kind, match=said):
                gw.keys.rotate("key1", wrong, account="shop")
        assert (service.done, service.refused) == ([], []), "it was told before anything was sent"
        with pytest.raises(AuthenticationFailed):
            gw.keys.rotate("key1", new("key4"), account="shop")
        failed = [(action, label) for action, label, _ in failures(gw.keys.audit())]
        assert failed == [("rotate failed", "key1")] * 6
        assert gw.keys.get("key1", account="shop").state == "active"
        assert place.kept() == {"shop/key1": "secret-key1"}
        rotated = gw.keys.rotate("key1", new("key2", permissions=[Permission.READ, Permission.TRADE]), account="shop")
        assert sorted(rotated.new.permissions) == ["read", "trade"]
        assert (rotated.new.networks, rotated.new.pool) == (("203.0.113.7/32",), "low")
        with pytest.raises(Conflict, match="only an active key"):
            gw.keys.rotate("key1", new("key3"), account="shop")


def test_what_only_this_key_can_do(colour: str, place: Place) -> None:
    """It does not go with the key; what another can do as well may."""
    service = Service(*(f"secret-key{number}" for number in range(1, 5)))
    read, trade = Permission.READ, Permission.TRADE
    with Loopback(app=service) as server:
        accounts = {"shop": ring_account(server.url, egress=["203.0.113.7"])}
        with place.gateway(colour, accounts) as gw:
            gw.keys.add(new("key1", permissions=[read, trade]), account="shop")
            gw.keys.add(new("key2", permissions=[read]), account="shop")
            kept, rows = place.kept(), place.rows()
            service.forget()
            for less in (
                new("key3", permissions=[read]),
                new("key3", networks=["198.51.100.1"]),
                new("key3", permissions=[read, Permission.WITHDRAW]),
            ):
                for check in (True, False):
                    with pytest.raises(InvalidRequest, match="no key could trade any more; nothing was changed"):
                        gw.keys.rotate("key1", less, account="shop", check=check)
            assert (service.done, place.kept(), place.rows()) == ([], kept, rows)
            assert failures(gw.keys.audit()) == [("rotate failed", "key1", {"error": "InvalidRequest"})] * 6
            # Another key may stand in for what it can do, where one of them can do all of it.
            gw.keys.add(new("key4", permissions=[read, trade]), account="shop", check=False)
            gw.keys.rotate("key1", new("key3", permissions=[trade]), account="shop", check=False)
            gw.keys.retire("key4", account="shop")
            gw.keys.revoke("key4", account="shop", ended=True, force=True)
            assert sorted(place.kept()) == ["shop/key1", "shop/key2", "shop/key3"]
            service.forget()
            gw.wallets.list(account="shop")
            gw.orders.create(cart("c-1"), account="shop")
            assert service.keys_used() == ["secret-key2", "secret-key3"]


def test_what_only_one_key_can_do_at_once(colour: str, place: Place) -> None:
    """A call of one's own may need several permissions, and goes out with one key."""
    service = Service(*(f"secret-key{number}" for number in range(1, 5)))
    read, trade, withdraw = Permission
    with Loopback(app=service) as server, place.gateway(colour, server.url) as gw:
        gw.keys.add(new("key1"), account="shop")
        gw.keys.add(new("key2", permissions=[read]), account="shop")
        gw.keys.add(new("key3", permissions=[trade]), account="shop")
        gw.account("shop").request("POST", "/orders", json={"note": "any", "price": "1.00"})
        kept, rows = place.kept(), place.rows()
        for permissions, lost in (
            ([withdraw], "read and trade and withdraw, all with one key,"),
            ([read, withdraw], "read and trade and withdraw, all with one key,"),
        ):
            with pytest.raises(InvalidRequest, match=f"no key could {lost} any more; nothing was changed"):
                gw.keys.rotate("key1", new("key4", permissions=permissions), account="shop", check=False)
        assert (place.kept(), place.rows()) == (kept, rows)
        service.forget()
        gw.account("shop").request("POST", "/orders", json={"note": "any", "price": "1.00"})
        assert service.keys_used() == ["secret-key1"]
        # Less is meant: it is added, and the other retired.
        gw.keys.add(new("key4", permissions=[withdraw]), account="shop", check=False)
        gw.keys.retire("key1", account="shop")
        with pytest.raises(PermissionDenied, match="the permission read and trade and withdraw") as denied:
            gw.account("shop").request("POST", "/orders", json={})
        asked = "--permission read --permission trade --permission withdraw"
        assert denied.value.hint == f"`gateway keys create --account shop {asked}`"
