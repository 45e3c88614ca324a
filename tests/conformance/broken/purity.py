"""Adapters that do what is the engine's alone, or keep what they may not keep."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

from conformance.acme import AcmeAdapter, data_of
from conformance.broken.fault import fails
from gateway.contracts import Query
from gateway.exchange import Operation, Request, ask
from gateway.models import Page, ProviderOrder, Wallet

_WORKS = "test_it_works_and_gives_what_it_should"


@fails(_WORKS, "orders.get does I/O of its own: socket.connect")
class OpensASocket(AcmeAdapter):
    """Opens a connection by itself."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        address = urlsplit(self.settings.base_url)
        with socket.socket() as own:
            own.connect((address.hostname, address.port))
        return (yield from super().get_order(provider_id))


@fails(_WORKS, "orders.get does I/O of its own: subprocess.Popen")
class StartsAProcess(AcmeAdapter):
    """Starts another program."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        subprocess.run([sys.executable, "--version"], check=True)
        return (yield from super().get_order(provider_id))


@fails(_WORKS, "list_wallets() returned Page[Wallet], it is not a generator of requests")
class AnswersByItself(AcmeAdapter):
    """Returns a result without asking for any request."""

    def list_wallets(self, query: Query) -> Any:
        return Page[Wallet](items=())


@fails(_WORKS, "wallets.list:custodial sent nothing to the provider")
class AsksForNothing(AcmeAdapter):
    """Makes up a result without asking the provider."""

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        if self.settings.provider == "acme":
            return Page[Wallet](items=())
        return (yield from super().list_wallets(query))


@fails(_WORKS, "wallets.list asks for 'https://elsewhere.invalid/balances', which is no path")
class AsksSomebodyElse(AcmeAdapter):
    """Follows an address to another host, with the signature of the account."""

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        data = yield from ask(Request("GET", "https://elsewhere.invalid/balances"), data_of)
        return Page[Wallet](items=tuple(map(self.wallet, data["items"])))


@fails(_WORKS, "wallets.list asks for '@elsewhere.invalid/balances', which is no path")
class AsksSomebodyElseByTheBackDoor(AcmeAdapter):
    """Names a path that makes another host of the account's address."""

    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        yield from super().list_wallets(query)
        data = yield from ask(Request("GET", "@elsewhere.invalid/balances"), data_of)
        return Page[Wallet](items=tuple(map(self.wallet, data["items"])))


@fails("test_an_order_follows_what_the_payer_does", "after late in the sandbox the order is expired")
class RemembersOrders(AcmeAdapter):
    """Remembers an order that it has read and tells it again, so that what happened since is never seen."""

    def __init__(self, account: Any) -> None:
        super().__init__(account)
        self.seen: dict[str, ProviderOrder] = {}

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        read = yield from super().get_order(provider_id)
        return self.seen.setdefault(provider_id, read)
