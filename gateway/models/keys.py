"""API keys, as they may be shown: never with their secret. And the steps of what only a person can do with them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, field_validator

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

T = TypeVar("T")


class Permission(StrEnum):
    """What a key may do. None includes another."""

    READ = "read"
    """Look."""
    TRADE = "trade"
    """Make what takes no money out: exchange orders, invoices, customers."""
    WITHDRAW = "withdraw"
    """Let money leave: payouts, refunds, cards."""


class KeyState(StrEnum):
    """Where a key stands."""

    ACTIVE = "active"
    """New work goes out with it."""
    RETIRING = "retiring"
    """It gets no new work and is still valid at the provider; it can be taken back into use."""
    REVOKED = "revoked"
    """Ended. Final."""
    EXPIRED = "expired"
    """Its time is over. Final, unless the expiry that was recorded was wrong."""


class KeyOrigin(StrEnum):
    """Where a key comes from."""

    ISSUED = "issued"
    """Obtained by a call, and kept in the ring."""
    IMPORTED = "imported"
    """Made by a person at the provider, and kept in the ring."""
    CONFIGURED = "configured"
    """It stands in the account's settings, not in a ring."""


class KeyAction(StrEnum):
    """What is done with a key at the provider."""

    CREATE = "create"
    EDIT = "edit"
    REVOKE = "revoke"
    DELETE = "delete"
    """The provider's word for ending one, where it has one."""
    DELETE_ALL = "delete-all"
    """End all keys of the account at once."""


class KeyProof(StrEnum):
    """What a provider asks for before it does something with a key."""

    PASSWORD = "password"
    EMAIL_CODE = "e-mail code"
    ONE_TIME_CODE = "one-time code"
    PERSON = "a person at the provider's page"


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network that is written here; one of IPv4 also where it is written as IPv6 (RFC 4291, 2.5.5.2). Raises
    ValueError.
    """
    network = ipaddress.ip_network(text.strip())
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def _network(value: str) -> str:
    """The network as it is usually written; a single address is the network of itself."""
    try:
        return str(network_of(value))
    except ValueError:
        pass
    try:
        inside = ipaddress.ip_interface(value.strip())
    except ValueError:
        raise ValueError("expected an address or a network, such as 203.0.113.7 or 203.0.113.0/24") from None
    raise ValueError(f"{inside} is an address in a network: write {inside.network} for all of it, or {inside.ip}")


KeyLabel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""1 to 64 letters, digits, '-' and '_': it is part of the address of its secret. Providers have rules of their own."""
Network = Annotated[str, AfterValidator(_network)]


class ApiKey(Result):
    """A key that an account uses, without its secret."""

    account: str
    provider: str
    environment: Environment
    label: str
    kind: str
    """Which of the provider's kinds of key: the `kind` of an `auth` table."""
    public_id: str | None = None
    """The part that the provider lets be known, if any."""
    permissions: frozenset[Permission]
    """What it may do; where a provider has no scopes, all."""
    networks: tuple[str, ...] | None = None
    """Where it works from, such as `203.0.113.0/24`; None: from anywhere."""
    pool: str = "default"
    """Keys of one pool may stand in for each other."""
    state: KeyState = KeyState.ACTIVE
    origin: KeyOrigin
    created_at: Instant | None = None
    """When it was made at the provider, where that is known."""
    added_at: Instant | None = None
    """When it came into the ring; None for one of the settings."""
    expires_at: Instant | None = None
    """When its time is over; None where no end is known."""
    token_expires_at: Instant | None = None
    """When the token expires that was obtained with it last. The key itself does not end then: who needs another token
    obtains it. None where there is none that is good.
    """
    verified_at: Instant | None = None
    """The last time that a read with it succeeded."""
    refused_at: Instant | None = None
    """Since when the provider refuses it: it is used only where no other is left. None again once it is accepted."""
    retired_at: Instant | None = None
    """When it was retired; None again once it is taken back into use."""
    revoked_at: Instant | None = None
    """When it was noted here that it has ended."""


class NewKey(Input):
    """A key that a person made at the provider, to be kept in an account's ring. Raises InvalidRequest."""

    label: KeyLabel
    """1 to 64 letters, digits, '-' and '_'; providers have rules of their own."""
    kind: str | None = None
    """May be left out where the provider has one only."""
    parts: Mapping[str, Secret] = Field(repr=False)
    """What the provider showed, by the names of the account's `auth` settings; `gateway keys guide` lists them."""
    permissions: frozenset[Permission] | None = None
    """None: all that the provider knows."""
    networks: tuple[Network, ...] | None = None
    """Addresses or networks that it is restricted to, such as `203.0.113.0/24`; None: it works from anywhere."""
    pool: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "default"
    """As in ApiKey: 1 to 64 letters, digits, '-' and '_'."""
    created_at: Instant | None = None
    """When it was made at the provider."""
    expires_at: Instant | None = None
    """When it ends, in the future; None: no end is known."""

    @field_validator("permissions", "networks")
    @classmethod
    def _some(cls, values: T) -> T:
        # Not by `min_length`, which counts what is wrong as missing.
        if values is not None and not values:
            raise ValueError("expected one at least")
        return values


class IssuedKey(Result):
    """A key that the provider has just issued."""

    secret: Secret
    """Nobody else shows it again."""
    expires_at: Instant | None = None
    """None where the provider does not tell."""
    key: ApiKey | None = None
    """Its place in the ring; None where it was not kept."""
    raw: Raw = Field(default_factory=Raw, repr=False)


class GuideStep(Result):
    """One step of what a person does at the provider."""

    text: str
    covers: tuple[int, ...] = ()
    """The numbers of the same steps in the provider's own description, where it numbers them."""
    page: str | None = None
    """Where it is done."""
    enter: Mapping[str, str] = Field(default_factory=dict)
    """What to write into which field: the text by the field's name."""
    tick: tuple[str, ...] = ()
    """Which boxes to tick."""
    asks: tuple[KeyProof, ...] = ()
    """What will be asked for."""
    shows: tuple[str, ...] = ()
    """The parts of the key that appear here, the last time for those that are shown once."""
    later: bool = False
    """Whether it is no part of the action: it says what comes when the key's time is over."""


class KeyGuide(Result):
    """The provider's own steps for one action, filled in for this key."""

    account: str
    provider: str
    action: KeyAction
    label: str | None = None
    """The key's, where one was named."""
    in_ring: bool = False
    """Whether the account's ring has a key of this label, which is to be changed or ended."""
    kind: str
    """As in ApiKey."""
    parts: Mapping[str, str] = Field(default_factory=dict)
    """What a key to be made consists of: by the names that `NewKey.parts` has, what the provider calls them."""
    permissions: frozenset[Permission] | None = None
    """What the key may do; None where the provider's keys have no scopes."""
    networks: tuple[str, ...] | None = None
    """Where it works from; None: from anywhere."""
    proofs: tuple[KeyProof, ...] = ()
    """What the provider asks for before it does this."""
    steps: tuple[GuideStep, ...]
    """In order; empty where none are known."""
    source: str
    """Where the steps come from."""
    grade: str
    """How far the source can be relied on, as in the provider's table: D, P, C or I."""


class Rotation(Result):
    """A key that takes another's place."""

    new: ApiKey
    old: ApiKey
    """Now retiring: it gets no new work."""
    in_flight: int
    """How many calls of this process still use the old key."""
    guide: KeyGuide
    """How to end the old key at the provider once nothing uses it; then `keys.revoke`."""


class KeyAudit(Result):
    """One thing that was done with a key or the vault: who, when and what, never a secret."""

    id: int
    """Grows with time."""
    at: Instant
    actor: str
    """Who: what was given as `by`, else the user of the machine; `the gateway` for what no person did; `not kept` for a
    `by` of which, since the vault could not be read, nobody could tell whether a secret is in it.
    """
    action: str
    """What was done, such as `retired` or `revealed`."""
    account: str | None = None
    """None for what was done with the vault as a whole."""
    provider: str | None = None
    environment: Environment | None = None
    label: str | None = None
    """The key's, or the secret's in the vault."""
    detail: Mapping[str, Any] = Field(default_factory=dict)
    """More about it, by name."""
