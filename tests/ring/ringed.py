"""Accounts with rings: a store and a vault for several gateways, and a service that knows whom it gave a key.

`Place` is where the keys are kept. `Service` is toy's service behind a door: it answers 401 to a key that it does not
know, and remembers who did what.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import Money, OrderRequest
from gateway.keyring import RawKey, Vault
from gateway.models import ApiKey, KeyAudit, NewKey
from gateway.plugins import Plugins
from gateway.secrets import Secret
from gateway.store import keys as stored
from gateway.store.database import Database
from gateway.store.keys import KeyRow
from support.colours import Opened, opened
from support.loopback import Answer, Seen
from support.toy import answers, good, wrong
from support.virtual import START, VirtualClock

__all__ = ["MASTER", "Place", "Service", "actions", "cart", "failures", "new", "ring_account"]

MASTER = "5e" * 32


@dataclass(frozen=True)
class Place:
    """Where the keys of a test are kept."""

    folder: Path
    store: str

    @classmethod
    def made(cls, folder: Path, store: str | None = None) -> Place:
        place = cls(folder, store or f"sqlite:///{folder / 'gateway.db'}")
        Vault.create(place.vault_file, place.master)
        return place

    @property
    def vault_file(self) -> Path:
        return self.folder / "gateway.vault"

    @property
    def master(self) -> RawKey:
        return RawKey(Secret(MASTER))

    @property
    def vault(self) -> Vault:
        return Vault(self.vault_file, self.master)

    def given(self) -> dict[str, Any]:
        """What a gateway is told."""
        return {"store": self.store, "vault": {"at": str(self.vault_file)}, "vault_key": self.master}

    @contextmanager
    def gateway(
        self,
        colour: str,
        accounts: dict[str, Any] | str,
        *,
        clock: VirtualClock | None = None,
        plugins: Plugins | None = None,
        **more: Any,
    ) -> Iterator[Opened]:
        """A gateway with these accounts; a text is the address of toy, for the account `shop`."""
        if isinstance(accounts, str):
            accounts = {"shop": ring_account(accounts)}
        with opened(colour, accounts=accounts, clock=clock, plugins=plugins, **{**self.given(), **more}) as gw:
            yield gw

    def kept(self) -> dict[str, str]:
        """The vault, read back: `account/label` and the secret."""
        vault = self.vault
        return {"/".join(name): secret.reveal() for name, secret in vault.get_many().items()}

    def rows(self) -> dict[str, ApiKey]:
        """The store's keys, by their labels, as somebody else sees them."""
        return {row.key.label: row.key for row in self._rows()}

    def _rows(self) -> list[KeyRow]:
        with Database.open(self.store) as database:
            return database.transaction(lambda connection: stored.listed(connection, None, START))


def ring_account(url: str, provider: str = "toy", **more: Any) -> dict[str, Any]:
    """The settings of an account that works with a ring."""
    return {"provider": provider, "environment": "sandbox", "base_url": url, "auth": {"kind": "ring"}, **more}


def new(label: str, secret: str | None = None, *, kind: str = "key", **more: Any) -> NewKey:
    """A key of toy; its secret is `secret-LABEL` unless another is given."""
    parts = {"key": Secret(secret or f"secret-{label}")}
    return NewKey(label=label, kind=kind, parts=parts, **more)


def cart(reference: str) -> OrderRequest:
    return OrderRequest(reference=reference, price=Money("1.00", "USD"), description=reference)


def failures(entries: Collection[KeyAudit]) -> list[tuple[str, str | None, dict[str, Any]]]:
    """What failed, the first in front: the action, the key, and what is told of it."""
    return [
        (one.action, one.label, dict(one.detail)) for one in reversed(list(entries)) if one.action.endswith(" failed")
    ]


def actions(entries: Collection[KeyAudit]) -> list[str]:
    """What was done, the first in front."""
    return [entry.action for entry in reversed(list(entries))]


class Service:
    """toy's service for those who show a key that it knows. A number with which a request is signed has to grow.

    `done` are the calls that were carried out, each as key, method and path; `refused` the keys that were not let in;
    `written` counts the orders by their description, and their numbers count from 1; `logins` are the tokens that were
    issued for `login`.
    """

    def __init__(self, *keys: str, login: str | None = None) -> None:
        self.keys = set(keys)
        self.login = login
        self.done: list[tuple[str, str, str]] = []
        self.refused: list[str] = []
        self.written: Counter[str] = Counter()
        self.logins: list[str] = []
        self.failed_logins = 0
        self.taken_away = False
        """Whether a token is refused although it was issued."""
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Answer:
        with self._lock:
            if seen.path == "/keys" and "x-key" not in seen.headers:
                return self._log_in(seen)
            key = seen.headers.get("x-key", "")
            if key not in self.keys:
                self.refused.append(key)
                return Answer(401, {"you sent": key})
            if not self._numbered_well(seen, key):
                return wrong("bad-request", "the number has not grown, or its signature is wrong", 400)
            self.done.append((key, seen.method, seen.path))
            if seen.method == "POST" and seen.path == "/orders":
                self.written[seen.json["note"]] += 1
                return good({"id": str(self.written.total()), "status": "open", "amount": seen.json["price"]})
        return answers(seen)

    def _log_in(self, seen: Seen) -> Answer:
        if seen.json["password"] != self.login:
            self.failed_logins += 1
            return wrong("bad-key", "wrong user or password", 401)
        self.logins.append(f"issued-{len(self.logins) + 1}")
        if not self.taken_away:
            self.keys.add(self.logins[-1])
        return good({"token": self.logins[-1]})

    def _numbered_well(self, seen: Seen, key: str) -> bool:
        if "x-number" not in seen.headers:
            return True
        number = seen.headers["x-number"]
        signed = hmac.new(key.encode(), f"{number} {seen.method} {seen.target}".encode() + seen.body, hashlib.sha256)
        grown = int(number) > self._numbers.get(key, 0)
        self._numbers[key] = max(int(number), self._numbers.get(key, 0))
        return grown and hmac.compare_digest(signed.hexdigest(), seen.headers["signature"])

    def end(self, key: str) -> None:
        """The provider knows the key no more."""
        with self._lock:
            self.keys.remove(key)

    def forget_logins(self) -> None:
        with self._lock:
            self.keys -= set(self.logins)

    def keys_used(self) -> list[str]:
        return [key for key, _, _ in self.done]

    def forget(self) -> None:
        """What was done up to now."""
        with self._lock:
            self.done.clear()
            self.refused.clear()
