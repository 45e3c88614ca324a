"""`key.expiring`: every key of a ring that expires soon is told in time, once, by whichever worker looks first."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from gateway import Gateway
from gateway.engine.drivers import SyncDriver
from gateway.flows import key_watch
from gateway.models import Event, NewKey
from gateway.secrets import Secret
from gateway.store import keys as store
from gateway.store.tables import schedules
from support.toy import account, toy_plugins
from support.virtual import VirtualClock

SECRET = "canary-of-a-key"
NOWHERE = "http://127.0.0.1:9"
WEEK = timedelta(days=7)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path / 'gateway.db'}"


def ring(**more: Any) -> dict[str, Any]:
    return account(NOWHERE) | {"auth": {"kind": "ring"}} | more


def opened(where: str, folder: Path, **given: Any) -> Gateway:
    from gateway.keyring import RawKey, Vault

    key = RawKey(Secret("ab" * 32))
    if not (folder / "vault").exists():
        Vault.create(folder / "vault", key)
    given = {"accounts": {"shop": ring(), "fixed": account(NOWHERE)}, **given}
    return Gateway(plugins=toy_plugins(), store=where, vault={"at": str(folder / "vault")}, vault_key=key, **given)


@pytest.fixture
def gateway(where: str, tmp_path: Path) -> Iterator[Gateway]:
    with opened(where, tmp_path) as made:
        yield made


def put(gateway: Gateway, label: str, expires_at: datetime | None, *, account: str = "shop", **more: Any) -> None:
    parts = {"key": Secret(f"{SECRET}-{label}")}
    new = NewKey(label=label, kind="key", parts=parts, expires_at=expires_at, **more)
    gateway.keys.add(new, account=account, check=False)


def after(gateway: Gateway, days: float) -> datetime:
    return gateway._core.now() + timedelta(days=days)


def told(gateway: Gateway) -> list[str]:
    return [event.reference for event in gateway.events.since(0, types=["key.*"])]


def look(gateway: Gateway) -> None:
    """As a worker does an hour later."""
    due = update(schedules).where(schedules.c.name == "keys").values(next_at=datetime.now(UTC))
    gateway._core.database().transaction(lambda connection: connection.execute(due).rowcount)
    gateway.run(until_idle=True)


def test_what_is_told(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []
    gateway.on("key.expiring", name="ops")(heard.append)
    soon = after(gateway, 6)
    put(gateway, "k-1", soon, permissions=["read"], networks=["203.0.113.7"])
    put(gateway, "k-2", after(gateway, 8))
    put(gateway, "k-3", None)
    gateway.run(until_idle=True)
    (event,) = heard
    assert (event.type, event.subject, event.reference) == ("key.expiring", "key shop/k-1", "shop/k-1")
    assert (event.account, event.provider, event.environment) == ("shop", "toy", "sandbox")
    assert datetime.fromisoformat(event.data.pop("expires_at")) == soon
    assert event.data == {"account": "shop", "label": "k-1", "state": "active", "permissions": ["read"]}
    assert "the key k-1 of shop expires at" in caplog.text
    assert SECRET not in json.dumps(event.model_dump(mode="json")) + caplog.text


def test_each_expiry_is_told_once(gateway: Gateway) -> None:
    put(gateway, "k-1", after(gateway, 6))
    for _ in range(3):
        look(gateway)
    assert told(gateway) == ["shop/k-1"]
    later = after(gateway, 6.5)
    gateway.keys.edit("k-1", account="shop", expires_at=later)
    for _ in range(2):
        look(gateway)
    assert told(gateway) == ["shop/k-1"] * 2
    *_, last = gateway.events.since(0, types=["key.expiring"])
    assert datetime.fromisoformat(last.data["expires_at"]) == later
    gateway.keys.edit("k-1", account="shop", expires_at=after(gateway, 30))
    gateway.keys.edit("k-1", account="shop", permissions=["read"])
    look(gateway)
    assert told(gateway) == ["shop/k-1"] * 2


def test_once_an_hour(gateway: Gateway) -> None:
    gateway.run(until_idle=True)
    put(gateway, "k-1", after(gateway, 1))
    gateway.run(until_idle=True)
    assert told(gateway) == []  # looked a moment ago
    ahead = gateway._core.database().read(
        lambda connection: connection.execute(schedules.select().where(schedules.c.name == "keys")).one().next_at
    )
    assert timedelta(minutes=59) < ahead - datetime.now(UTC) <= timedelta(hours=1)
    look(gateway)
    assert told(gateway) == ["shop/k-1"]


def test_the_time_is_a_setting(where: str, tmp_path: Path) -> None:
    with opened(where, tmp_path, keys={"expiring": "2d"}) as gateway:
        put(gateway, "k-1", after(gateway, 3))
        put(gateway, "k-2", after(gateway, 1))
        gateway.run(until_idle=True)
        assert told(gateway) == ["shop/k-2"]


def test_a_key_that_ended_is_not_told_and_one_that_retires_is(gateway: Gateway) -> None:
    for label in ("k-1", "k-2", "k-3"):
        put(gateway, label, after(gateway, 1))
    gateway.keys.retire("k-2", account="shop")
    gateway.keys.revoke("k-3", account="shop", ended=True, force=True)
    gateway.run(until_idle=True)
    assert told(gateway) == ["shop/k-1", "shop/k-2"]


def test_what_expired_while_no_worker_ran_is_told_late(where: str, tmp_path: Path) -> None:
    clock = VirtualClock(datetime.now(UTC))
    with opened(where, tmp_path, clock=clock) as gateway:
        put(gateway, "k-1", after(gateway, 6))
        clock.advance(WEEK.total_seconds())
        SyncDriver(gateway._core.connection, gateway._core.database).run(key_watch.tell_of_expiry(gateway._core))
        (event,) = gateway.events.since(0, types=["key.expiring"])
        assert event.data["state"] == "expired"


def test_a_login_renews_its_key_and_is_not_told(gateway: Gateway) -> None:
    parts = {"user": Secret("merchant"), "password": Secret(SECRET)}
    new = NewKey(label="k-1", kind="login", parts=parts, expires_at=after(gateway, 1))
    gateway.keys.add(new, account="shop", check=False)
    gateway.run(until_idle=True)
    assert told(gateway) == []


def test_keys_that_no_account_works_with_are_not_told(where: str, tmp_path: Path) -> None:
    """Of an account that is gone, of one with a key of its own, and of another environment."""
    with opened(where, tmp_path, accounts={name: ring() for name in ("gone", "fixed", "live", "shop")}) as gateway:
        for name in gateway.accounts:
            put(gateway, "k-1", after(gateway, 1), account=name)
    accounts = {
        "fixed": account(NOWHERE),
        "live": ring(environment="live"),
        "shop": ring(),
    }
    with opened(where, tmp_path, accounts=accounts) as gateway:
        gateway.run(until_idle=True)
        assert told(gateway) == ["shop/k-1"]


def test_without_a_ring_nobody_looks(where: str, tmp_path: Path) -> None:
    with opened(where, tmp_path, accounts={"fixed": account(NOWHERE)}) as gateway:
        gateway.run(until_idle=True)
        names = gateway._core.database().read(lambda connection: set(connection.execute(schedules.select()).scalars()))
        assert names == {"recover", "reconcile fixed"}


def test_two_workers_tell_it_once(where: str, tmp_path: Path) -> None:
    """Both look at the same moment, each with a connection of its own."""
    gateways = [opened(where, tmp_path) for _ in range(2)]
    try:
        for number in range(10):
            put(gateways[0], f"k-{number}", after(gateways[0], 1))
        gate = threading.Barrier(2, timeout=30)
        failed: list[BaseException] = []

        def watch(gateway: Gateway) -> None:
            try:
                driver = SyncDriver(gateway._core.connection, gateway._core.database)
                gate.wait()
                found.append(len(driver.run(key_watch.tell_of_expiry(gateway._core))))
            except BaseException as error:
                failed.append(error)

        found: list[int] = []
        threads = [threading.Thread(target=watch, args=[gateway]) for gateway in gateways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert sum(found) == 10
        assert sorted(told(gateways[0])) == sorted(f"shop/k-{number}" for number in range(10))
    finally:
        for gateway in gateways:
            gateway.close()


def test_nothing_is_told_when_the_event_cannot_be_kept(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event and the mark that it was told are one transaction."""
    put(gateway, "k-1", after(gateway, 1))
    with monkeypatch.context() as patch:
        patch.setattr(store, "told", lambda connection, row: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            SyncDriver(gateway._core.connection, gateway._core.database).run(key_watch.tell_of_expiry(gateway._core))
    assert told(gateway) == []
    look(gateway)
    assert told(gateway) == ["shop/k-1"]
