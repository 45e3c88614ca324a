"""What a page takes for granted before its first block: its shop's modules, and what has happened there already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from docs.session import Session
from gateway import Gateway, LightningInvoice, Money, OrderRequest, WithdrawalRequest
from gateway.callbacks.tokens import attempt_url
from gateway.errors import OutcomeUnknown
from gateway.keyring import RawKey, Vault
from gateway.models import NewKey
from gateway.secrets import Secret
from gateway.testing import faults

__all__ = ["STAGES", "usual"]

CART = OrderRequest(reference="cart-1001", price=Money("25.00", "USD"), pay_with="USDT@tron")

PAYMENTS = """\
from gateway import Gateway

gw = Gateway.from_file("gateway.toml")
"""


def usual(session: Session) -> None:
    """One account called `shop`, for pages that show no configuration of their own."""
    session.configure(
        {
            "accounts": {"shop": session.sandbox.account("aurpay")},
            "routes": [{"operation": "orders.create", "accounts": ["shop"]}],
        }
    )


def with_module(session: Session) -> None:
    usual(session)
    session.write("shop/payments.py", PAYMENTS)


def with_paid_order(session: Session) -> None:
    usual(session)
    with Gateway.from_file("gateway.toml") as gw:
        made = gw.orders.create(CART.model_copy(update={"customer": "c-42"}))
        session.sandbox.pay("aurpay", made.provider_id or "")
        gw.orders.get("cart-1001")


def with_unknown_payout(session: Session) -> None:
    usual(session)
    invoice = session._adapted("lnbc1m1...")
    payout = WithdrawalRequest(
        reference="payout-77", amount=Money("0.001", "BTC@lightning"), to=LightningInvoice(invoice)
    )
    session.sandbox.faults("aurpay").add(faults.Drop(executed=False))
    with Gateway.from_file("gateway.toml") as gw, pytest.raises(OutcomeUnknown):
        gw.withdrawals.create(payout, account="shop")


def on_call(session: Session) -> None:
    """There is an order that nobody has paid, and a payout of unknown outcome."""
    with_unknown_payout(session)
    with Gateway.from_file("gateway.toml") as gw:
        gw.orders.create(CART)


def with_django(session: Session) -> None:
    """A Django project called `shop`. What it is asked for over HTTP is tests/callbacks/test_frameworks.py's."""
    usual(session)
    session.write(
        "shop/settings.py",
        'SECRET_KEY = "x" * 50\nROOT_URLCONF = "shop.urls"\nALLOWED_HOSTS = ["*"]\nLOGGING_CONFIG = None\n',
    )
    session.write("shop/urls.py", "urlpatterns = []\n")
    base, key = "https://shop.example/payments", "a-callback-key-of-the-tests"
    url = attempt_url(base, Secret(key), "shop", "of-another-store")
    with Gateway.from_file("gateway.toml", public_base_url=base, callback_key=key) as gw:
        assert gw.callbacks.receive(method="POST", url=url, headers={}, body=b"{}") == 200


def with_new_key(session: Session) -> None:
    """There is a new key for the vault."""
    session.write("new.key", "ab" * 32)
    (session.folder / "new.key").chmod(0o600)


def with_a_ring(session: Session) -> None:
    """The ring has a key, and Emirex's page has made another one."""
    session.write("gateway.key", "ab" * 32)
    (session.folder / "gateway.key").chmod(0o600)
    ring = {"auth": {"kind": "ring"}}
    session.configure(
        {
            "accounts": {"treasury": {"provider": "emirex", **ring}, "shop": {"provider": "aurpay", **ring}},
            "egress": "203.0.113.7",
            "vault": {"at": "gateway.vault", "key_file": "gateway.key"},
        }
    )
    Vault.create("gateway.vault", RawKey.from_file("gateway.key"))
    parts = {"public_key": Secret("emirex-sandbox-public-key"), "secret": Secret("emirex-sandbox-secret")}
    with Gateway.from_file("gateway.toml") as gw:
        gw.keys.add(NewKey(label="Main1", parts=parts, permissions=["read", "trade"]), account="treasury")
    session.sandbox.sandbox("emirex").add_key("docs-public-key", "docs-secret")  # type: ignore[attr-defined]


STAGES: dict[str, Callable[[Session], Any]] = {
    "README.md": with_module,
    "docs/callbacks.md": with_django,
    "docs/concepts/outcomes.md": with_unknown_payout,
    "docs/events.md": with_paid_order,
    "docs/howto/on-call.md": on_call,
    "docs/howto/rotate-keys.md": with_a_ring,
    "docs/keys.md": with_new_key,
    "docs/new-provider.md": lambda session: None,
    "docs/production.md": with_module,
}
