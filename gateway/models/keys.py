"""API keys, as they may be shown: never with their secret. And the steps of what only a person can do with them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from gateway.models.base import Environment, Input, Instant, Result
from gateway.secrets import Raw, Secret

__all__ = [
    "ApiKey",
    "GuideStep",
    "IssuedKey",
    "KeyAction",
    "KeyAudit",
    "KeyGuide",
    "KeyLabel",
    "KeyOrigin",
    "KeyProof",
    "KeyState",
    "NewKey",
    "Permission",
    "Rotation",
]


class Permission(StrEnum):
    """What a key may do: READ looks; TRADE makes what takes no money out (exchange orders, invoices, customers);
    WITHDRAW lets money leave (payouts, refunds, cards). None includes another.
    """

    READ = "read"
    TRADE = "trade"
    WITHDRAW = "withdraw"


class KeyState(StrEnum):
    """RETIRING gets no new work and is still valid at the provider; it can be taken back into use. REVOKED is final.
    EXPIRED is final too, unless the expiry that was recorded was wrong.
    """

    ACTIVE = "active"
    RETIRING = "retiring"
    REVOKED = "revoked"
    EXPIRED = "expired"


class KeyOrigin(StrEnum):
    """CONFIGURED stands in the account's settings, not in a ring."""

    ISSUED = "issued"
    IMPORTED = "imported"
    CONFIGURED = "configured"


class KeyAction(StrEnum):
    """What is done with a key at the provider. DELETE is the provider's word for ending one, where it has one."""

    CREATE = "create"
    EDIT = "edit"
    REVOKE = "revoke"
    DELETE = "delete"
    DELETE_ALL = "delete-all"


class KeyProof(StrEnum):
    """What a provider asks for before it does something with a key."""

    PASSWORD = "password"
    EMAIL_CODE = "e-mail code"
    ONE_TIME_CODE = "one-time code"
    PERSON = "a person at the provider's page"


def _network(value: str) -> str:
    """The network as it is usually written; a single address is the network of itself."""
    try:
        return str(ipaddress.ip_network(value.strip()))
    except ValueError:
        raise ValueError("expected an address or a network, such as 203.0.113.7 or 203.0.113.0/24") from None


KeyLabel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""1 to 64 letters, digits, '-' and '_': it is part of the address of its secret. Providers have rules of their own."""
Network = Annotated[str, AfterValidator(_network)]


class ApiKey(Result):
    """A key that an account uses.

    `permissions` are what it may do; where a provider has no scopes, all. `networks` None: it works from anywhere.
    Keys of one `pool` may stand in for each other. `public_id` is the part that the provider lets be known, if any.
    `created_at` is when it was made at the provider, where that is known. `refused_at`: the provider has refused it,
    and it is used only where no other is left. `verified_at`: the last time that a read with it succeeded.
    """

    account: str
    provider: str
    environment: Environment
    label: str
    kind: str
    public_id: str | None = None
    permissions: frozenset[Permission]
    networks: tuple[str, ...] | None = None
    pool: str = "default"
    state: KeyState = KeyState.ACTIVE
    origin: KeyOrigin
    created_at: Instant | None = None
    added_at: Instant | None = None
    expires_at: Instant | None = None
    verified_at: Instant | None = None
    refused_at: Instant | None = None
    retired_at: Instant | None = None
    revoked_at: Instant | None = None


class NewKey(Input):
    """A key that a person made at the provider, to be kept in an account's ring.

    `parts` are what the provider showed, by the names of the account's `auth` settings (`gateway keys guide` lists
    them). `kind` may be left out where the provider has one only. `permissions` None: all that the provider knows.
    `networks` None: it works from anywhere. Raises InvalidRequest.
    """

    label: KeyLabel
    kind: str | None = None
    parts: Mapping[str, Secret] = Field(repr=False)
    permissions: frozenset[Permission] | None = Field(default=None, min_length=1)
    networks: tuple[Network, ...] | None = Field(default=None, min_length=1)
    pool: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "default"
    created_at: Instant | None = None
    expires_at: Instant | None = None


class IssuedKey(Result):
    """A key that the provider has just issued. `secret` is shown by nobody else again. `key` is its place in the ring,
    where it was kept.
    """

    secret: Secret
    expires_at: Instant | None = None
    key: ApiKey | None = None
    raw: Raw = Field(default_factory=Raw, repr=False)


class GuideStep(Result):
    """One step of what a person does at the provider.

    `covers` are the numbers of the same steps in the provider's own description, where it numbers them. `page` is where
    it is done. `enter` is what to write into which field, `tick` which boxes to tick, `asks` what will be asked for.
    `shows` names the parts of the key that appear here, the last time for those that are shown once. `later` steps are
    not part of the action; they say what comes when the key's time is over.
    """

    text: str
    covers: tuple[int, ...] = ()
    page: str | None = None
    enter: Mapping[str, str] = Field(default_factory=dict)
    tick: tuple[str, ...] = ()
    asks: tuple[KeyProof, ...] = ()
    shows: tuple[str, ...] = ()
    later: bool = False


class KeyGuide(Result):
    """The provider's own steps for one action, in order, filled in for this key. `source` says where they come from.

    `parts` are what a key to be made consists of: by the names that `NewKey.parts` has, what the provider calls them.
    """

    account: str
    provider: str
    action: KeyAction
    label: str | None = None
    kind: str
    parts: Mapping[str, str] = Field(default_factory=dict)
    permissions: frozenset[Permission] | None = None
    networks: tuple[str, ...] | None = None
    proofs: tuple[KeyProof, ...] = ()
    steps: tuple[GuideStep, ...]
    source: str
    grade: str


class Rotation(Result):
    """A key that takes another's place. `old` is retiring: it gets no new work, and `in_flight` calls of this process
    still use it. `guide` says how to end it at the provider once nothing does; then `keys.revoke`.
    """

    new: ApiKey
    old: ApiKey
    in_flight: int
    guide: KeyGuide


class KeyAudit(Result):
    """One thing that was done with a key or the vault: who, when and what, never a secret."""

    id: int
    at: Instant
    actor: str
    action: str
    account: str | None = None
    provider: str | None = None
    environment: Environment | None = None
    label: str | None = None
    detail: Mapping[str, Any] = Field(default_factory=dict)
