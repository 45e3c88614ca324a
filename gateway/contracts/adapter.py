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
    """One configured account, as its adapter sees it."""

    name: str
    environment: Environment
    settings: S
    """Of the class that `Provider.settings` names."""
    now: Callable[[], datetime]
    """The gateway's clock (aware UTC)."""
    ring: Callable[[], Sequence[Any]] = tuple
    """Gives the credentials of all keys in the account's ring that are valid now; nothing for an account without one.
    """


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
    """An `Auth` that obtains its key by a call. One login runs at a time for a key."""

    def login_due(self) -> bool:
        """Whether a key should be obtained: because one is needed, or the one at hand expires soon. One call does it,
        and while none is needed, a login that fails stops nobody.
        """
        ...

    def login_needed(self) -> bool:
        """Whether nothing can be signed before a key is obtained: there is none, or it has expired or was refused.
        Never while none is due.
        """
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
    """As in Auth."""
    key_id = "public"
    """As in Auth: the same for every account."""

    def sign(self, request: Request, signing: Signing) -> Request:
        """The request, encoded and otherwise as it is."""
        return request.encoded()

    def secrets(self) -> Iterable[Secret]:
        """None."""
        return ()


class Adapter(Generic[S]):
    """The base of every adapter. It implements, beside this, the Protocols of `gateway.contracts` that its table
    declares.

    An adapter holds no state but its settings and its auth. A check that needs no network (a range, a coin, a missing
    customer) comes before the first `yield`, so that a bad request is refused before anything is recorded or sent.
    """

    reads_orders_from_lists: bool = False
    """Whether `get_order` has to look for the order in its customer's list, page by page. Many such orders are then
    followed by reading that list once (`list_orders` with a customer), instead of once for each.
    """

    def __init__(self, account: Account[S]) -> None:
        self.account = account
        self.settings: S = account.settings
        """Those of the account."""
        credentials = getattr(account.settings, "auth", None)
        in_ring = isinstance(credentials, RingAuth)
        self.auth: Auth = NoAuth() if in_ring or credentials is None else self.make_auth(credentials)
        """Of the credentials in the account's settings. The keys of a ring have an auth each, made by `make_auth` too.
        """

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
    """What a plugin registers."""

    name: str
    """What the configuration says; lower case letters, digits and '-'."""
    title: str
    """What messages and pages call it."""
    settings: type[AccountSettings]
    """The table of an account."""
    adapter: Callable[[Account[Any]], Adapter[Any]]
    """Makes the adapter of one account; usually its class."""
    capabilities: Capabilities
    """What it can do, row by row, unless the adapter of an account says otherwise."""
    settles_to: Settlement = Settlement.MERCHANT
    """Whose money an order becomes."""
    rate_limit: RateLimit | None = None
    """What the engine keeps to; None: it keeps to none."""
    keys: KeyRules | None = None
    """With them, an account can work with a ring of keys."""
    sandbox: str | None = None
    """The import path `module:attribute` of the factory of its stateful sandbox, imported only when one is served."""
    documentation: str | None = None
    """Where the provider documents its API."""
    contract: int
    """The one that the plugin is written for, written out as a number: by another version of the gateway it is refused
    then, with both named.
    """

    def __new__(cls, **stated: Any) -> Provider:
        # Of another contract it may have fields that are unknown here: the versions say more than these do.
        unknown = stated.keys() - {field.name for field in fields(cls)}
        if unknown and stated.get("contract", CONTRACT_VERSION) != CONTRACT_VERSION:
            raise PluginError(another_contract(str(stated.get("name")), stated["contract"]))
        return super().__new__(cls)


def another_contract(name: str, contract: object) -> str:
    return f"the provider {name} is written for contract {contract}, this gateway has contract {CONTRACT_VERSION}"
