"""Where the flows are tested: the three providers' sandboxes on loopback, and gateways with accounts at them.

The accounts are `shop` (Aurpay, API key), `backup` (Aurpay again, with a signature), `login` (Aurpay, user name and
password), `cards` (Aurex) and `treasury` (Emirex).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.lightning import decode_invoice
from gateway.models import CardTopUp, CustomerRequest, LightningInvoice, OrderRequest, WithdrawalRequest
from gateway.money import Money
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer, faults
from gateway.testing.lightning import encode_invoice
from gateway.testing.request_log import RequestRecord
from gateway_aurex.sandbox import AurexSandbox
from gateway_aurpay.sandbox import AurpaySandbox, WithdrawCall
from gateway_aurpay.sandbox.access import API_TOKEN, PASSWORD, USERNAME
from gateway_emirex.sandbox import EmirexSandbox
from support.colours import Opened, opened

__all__ = ["ADDRESS", "ON_BOTH", "PAYEE", "World", "cart", "invoice", "lightning", "payout", "top_up", "usd"]

ADDRESS = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"
"""On Tron; nobody's."""

_KEY = ec.derive_private_key(7, ec.SECP256K1())
_numbers = itertools.count(1)


ON_BOTH = pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
"""For tests of what the store guarantees: once in a file or in memory, once on a server."""


class World:
    """The sandboxes and their server. Use it inside `with`. `server` is the URL of a store on PostgreSQL, which all of
    its gateways then have.
    """

    def __init__(self, folder: Path, *, rate_limit: bool = True, server: str | None = None) -> None:
        self.folder = folder
        self._store = server
        self.aurex = AurexSandbox(wallet=Decimal(1000), rate_limit=rate_limit)
        self.aurpay = AurpaySandbox(withdraw=WithdrawCall(path="/api/v2/withdraw"))
        self.emirex = EmirexSandbox()
        self.server = SandboxServer([self.aurex, self.aurpay, self.emirex])

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()

    @property
    def store(self) -> str:
        """A database file, or the server, for what several processes share."""
        return self._store or f"sqlite:///{self.folder / 'gateway.db'}"

    def accounts(self, **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """All accounts; `shop={"limits": …}` adds to one of them."""
        shop = self.server.account("aurpay")
        signature = {"kind": "signature", "api_token": API_TOKEN, "api_secret": "sandbox-aurpay-api-secret"}
        accounts = {
            "shop": shop,
            "backup": shop | {"auth": signature},
            "login": shop | {"auth": {"kind": "login", "username": USERNAME, "password": PASSWORD}},
            "cards": self.server.account("aurex") | {"allow_inferred": ["keys.verify"]},
            "treasury": self.server.account("emirex"),
        }
        return {name: account | changes.get(name, {}) for name, account in accounts.items()}

    @contextlib.contextmanager
    def gateway(self, colour: str = "sync", **given: Any) -> Iterator[Opened]:
        """A gateway on these sandboxes. Its store is in memory, unless `store` says otherwise."""
        given.setdefault("accounts", self.accounts())
        if self._store is not None:
            given.setdefault("store", self._store)
        with opened(colour, plugins=load_plugins(), **given) as gw:
            yield gw

    def calls(self, provider: str, method: str, path: str = "/") -> list[RequestRecord]:
        """What this sandbox was asked, by method and the beginning of the path."""
        found = self.server.requests[provider]
        return [record for record in found if record.method == method and record.path.startswith(path)]

    def creations(self) -> int:
        """How many orders Aurpay was asked to make."""
        paths = ("/api/order/pay-", "/api/bln/order")
        return sum(len(self.calls("aurpay", "POST", path)) for path in paths)

    def payouts(self) -> list[dict[str, str]]:
        """What has left Aurpay."""
        found: list[dict[str, str]] = self.aurpay.ledger()["payouts"]
        return found

    def lose_answer(self, provider: str = "aurpay", path: str | None = None) -> None:
        """The next POST is carried out, and its answer never comes."""
        self.server.faults(provider).add(faults.Drop(executed=True, method="POST", path=path))

    def customer_with_card(self, gw: Opened) -> str:
        """A customer `c-42` with a card at Aurex; the card's number there."""
        gw.customers.create(CustomerRequest(reference="c-42", first_name="Ada", last_name="Example"), account="cards")
        user = gw.customers.get("c-42", account="cards", refresh=False).provider_id
        response = gw.account("cards").request(
            "POST", f"/users/{user}/cards", json={"cardName": "Travel", "initialBalance": 100}
        )
        return str(response.json()["data"]["cardId"])


def usd(amount: str) -> Money:
    return Money(amount, "USD")


def cart(
    reference: str = "cart-1001", price: str = "25.00 USD", pay_with: str | None = "USDT@tron", **more: Any
) -> Any:
    return OrderRequest(reference=reference, price=price, pay_with=pay_with, **more)


def invoice(
    amount: str | None = "0.001",
    *,
    network: str = "testnet",
    created_at: datetime | None = None,
    minutes: int = 60,
    key: ec.EllipticCurvePrivateKey = _KEY,
) -> str:
    """A fresh invoice of somebody's node, over this many bitcoins."""
    return encode_invoice(
        key,
        payment_hash=hashlib.sha256(f"{id(key)} {next(_numbers)}".encode()).digest(),
        payment_secret=bytes(32),
        created_at=created_at or datetime.now(UTC),
        amount=None if amount is None else Money(amount, "BTC@lightning"),
        network=network,
        description="a test",
        expiry=timedelta(minutes=minutes),
    )


PAYEE = decode_invoice(invoice()).payee
"""The node that these invoices are paid to."""


def lightning(amount: str) -> Money:
    return Money(amount, "BTC@lightning")


def payout(reference: str = "payout-77", amount: str = "0.001", text: str | None = None) -> WithdrawalRequest:
    return WithdrawalRequest(
        reference=reference, amount=lightning(amount), to=LightningInvoice(text or invoice(amount))
    )


def top_up(card: str, reference: str = "load-1", amount: str = "50 USD") -> WithdrawalRequest:
    return WithdrawalRequest(reference=reference, amount=amount, to=CardTopUp("c-42", card))
