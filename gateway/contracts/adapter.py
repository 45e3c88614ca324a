"""What a plugin registers, and what every adapter is: an account's operations as generators, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from gateway.capabilities import Capabilities
from gateway.contracts.keys import KeyRules
from gateway.contracts.settings import AccountSettings, RingAuth
from gateway.errors import PluginError
from gateway.exchange import Failure, Operation, Request, Response, Signing
from gateway.models.base import Environment
from gateway.models.keys import IssuedKey
from gateway.models.orders import Settlement
from gateway.secrets import Secret

__all__ = ["CONTRACT_VERSION", "Account", "Adapter", "Auth", "LoginAuth", "NoAuth", "Provider", "RateLimit"]

CONTRACT_VERSION = 1
"""Raised when an adapter written for the contract before would no longer work."""

S = TypeVar("S", bound=AccountSettings)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` within any `seconds`, for one key."""

    requests: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Account(Generic[S]):
    """One configured account, as its adapter sees it. `now` is the gateway's clock (aware UTC). `ring` gives the
    credentials of all keys in the account's ring that are valid now; nothing for an account without one.
    """

    name: str
    environment: Environment
    settings: S
    now: Callable[[], datetime]
    ring: Callable[[], Sequence[Any]] = tuple


class Auth(Protocol):
    """How an account's requests are authenticated."""

    @property
    def numbered(self) -> bool:
        """Whether every request carries a strictly growing number; such requests go out one at a time."""
        ...

    @property
    def key_id(self) -> str:
        """Which key this is, for rate limits and request numbers: the same for the same key, without revealing it."""
        ...

    def sign(self, request: Request, signing: Signing) -> Request:
        """The request as it goes out, `body` encoded. Called anew for every sending; must not change anything else."""
        ...

    def secrets(self) -> Iterable[Secret]:
        """All secrets that are in use now, to be hidden from every report."""
        ...


@runtime_checkable
class LoginAuth(Protocol):
    """An `Auth` that obtains its key by a call. One login runs at a time for an account."""

    def login_due(self) -> bool:
        """Whether a key must be obtained before the next request can be signed."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """When the key that it holds expires; None when it holds none, or the provider does not say."""
        ...

    def login(self) -> Operation[IssuedKey]:
        """Obtain a key and remember it; what was obtained."""
        ...

    def refused(self, request: Request) -> None:
        """The provider did not accept this signed request. Forget the key that it carries, unless a newer one is
        known.
        """
        ...


class NoAuth:
    """For providers whose calls need no key."""

    numbered = False
    key_id = "public"

    def sign(self, request: Request, signing: Signing) -> Request:
        return request.encoded()

    def secrets(self) -> Iterable[Secret]:
        return ()


class Adapter(Generic[S]):
    """The base of every adapter. It implements, beside this, the Protocols of `gateway.contracts` that its table
    declares.

    An adapter holds no state but its settings and the `auth` of its account's settings; the keys of a ring have an auth
    each, made by `make_auth` too. A check that needs no network (a range, a coin, a
    missing customer) comes before the first `yield`, so that a bad request is refused before anything is recorded
    or sent.

    `reads_orders_from_lists` says that `get_order` has to look for the order in its customer's list, page by page. Many
    such orders are then followed by reading that list once (`list_orders` with a customer), instead of once for each.
    """

    reads_orders_from_lists: bool = False

    def __init__(self, account: Account[S]) -> None:
        self.account = account
        self.settings: S = account.settings
        credentials = getattr(account.settings, "auth", None)
        in_ring = isinstance(credentials, RingAuth)
        self.auth: Auth = NoAuth() if in_ring or credentials is None else self.make_auth(credentials)

    def make_auth(self, credentials: Any) -> Auth:
        """The auth of one table of credentials: that of the account's settings, or of a key in its ring."""
        return NoAuth()

    def capabilities(self) -> Capabilities | None:
        """A table of this account's own, where its settings switch something on or off; None takes the provider's."""
        return None

    def read_failure(self, response: Response) -> Failure | None:
        """The provider's own error in an answer, whatever the HTTP status; None when there is none that it can
        recognise.

        Called for every answer. For 4xx without a recognised error the engine goes by the status alone.
        """
        return None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What a plugin registers. `name` is what the configuration says; lower case letters, digits and '-'.

    `sandbox` is the import path `module:attribute` of the factory of its stateful sandbox, imported only when one
    is served. `settles_to` says whose money an order becomes. With `keys`, an account can work with a ring of keys.
    `contract` is the one that the plugin is written for, as a number: with another one it is refused.
    """

    name: str
    title: str
    settings: type[AccountSettings]
    adapter: Callable[[Account[Any]], Adapter[Any]]
    capabilities: Capabilities
    settles_to: Settlement = Settlement.MERCHANT
    rate_limit: RateLimit | None = None
    keys: KeyRules | None = None
    sandbox: str | None = None
    documentation: str | None = None
    contract: int = CONTRACT_VERSION

    def __new__(cls, **stated: Any) -> Provider:
        # Of another contract it may have fields that are unknown here: the versions say more than these do.
        unknown = stated.keys() - {field.name for field in fields(cls)}
        if unknown and stated.get("contract", CONTRACT_VERSION) != CONTRACT_VERSION:
            raise PluginError(another_contract(str(stated.get("name")), stated["contract"]))
        return super().__new__(cls)


def another_contract(name: str, contract: object) -> str:
    return f"the provider {name} is written for contract {contract}, this gateway has contract {CONTRACT_VERSION}"
