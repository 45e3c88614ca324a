"""Adapters that do what is the engine's alone, or keep what they may not keep."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from conformance.acme import AcmeAdapter, SignedAuth, data_of
from conformance.broken.fault import fails
from gateway.contracts import IncomingCallback, Notice, Query
from gateway.exchange import Operation, Request, Signing, ask
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


@fails(_WORKS, "orders.get does I/O of its own: socket.sendto")
class SendsADatagram(AcmeAdapter):
    """Sends a datagram, which needs no connection."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(provider_id.encode(), ("127.0.0.1", 9))
        return (yield from super().get_order(provider_id))


@fails(_WORKS, "orders.get waits by itself: time.sleep")
class Sleeps(AcmeAdapter):
    """Pauses in the middle of an operation, which stops all other calls of an asynchronous gateway."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        time.sleep(0.001)
        return (yield from super().get_order(provider_id))


@fails(_WORKS, "orders.get does I/O of its own: _thread.start_")
class StartsAThread(AcmeAdapter):
    """Starts a thread, in which it could do what it may not."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        own = threading.Thread(target=lambda: None)
        own.start()
        own.join()
        return (yield from super().get_order(provider_id))


@fails(_WORKS, "orders.create does I/O of its own: urllib.Request")
class AsksWithUrllib(AcmeAdapter):
    """Asks with an HTTP client of its own while it reads an answer, and hides that it could not."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        with contextlib.suppress(OSError):
            urllib.request.urlopen("http://127.0.0.1:9/").close()
        return super().order(data)


@fails(_WORKS, "the adapter's constructor does I/O of its own: socket.connect")
class ConnectsAtOnce(AcmeAdapter):
    """Opens a connection when it is made, and hides that it could not."""

    def __init__(self, account: Any) -> None:
        super().__init__(account)
        with contextlib.suppress(OSError), socket.socket() as own:
            own.connect(("127.0.0.1", 9))


@fails(_WORKS, "signing does I/O of its own: socket.getaddrinfo")
class AsksForATime(SignedAuth):
    """Looks a host up when it signs a request."""

    def sign(self, request: Request, signing: Signing) -> Request:
        socket.getaddrinfo("127.0.0.1", 9)
        return super().sign(request, signing)


@fails("test_a_forged_one_proves_nothing", "callbacks.receive does I/O of its own: socket.getaddrinfo")
class LooksACallerUp(AcmeAdapter):
    """Looks a host up when it reads a callback."""

    def read_callback(self, callback: IncomingCallback) -> Notice:
        socket.getaddrinfo("127.0.0.1", 9)
        return super().read_callback(callback)


@fails(_WORKS, "keys.verify opens a file for writing")
class WritesAFile(AcmeAdapter):
    """Writes its key into a file."""

    def verify_key(self) -> Operation[None]:
        with open(os.devnull, "a", encoding="utf-8") as file:
            file.write(self.settings.auth.secret.reveal())
        yield from super().verify_key()


@fails(_WORKS, "keys.verify changes what is outside of it: os.putenv")
class ChangesTheEnvironment(AcmeAdapter):
    """Puts its key into the environment, which every program that is started afterwards gets."""

    def verify_key(self) -> Operation[None]:
        os.environ["ACME_KEY"] = self.settings.auth.secret.reveal()
        yield from super().verify_key()


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
