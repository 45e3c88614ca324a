"""What an account's section of the configuration may say. An adapter subclasses `AccountSettings`; its fields
document themselves.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import ssl
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, IPvAnyAddress

from gateway.assets import Asset, known_assets
from gateway.capabilities import OPERATIONS
from gateway.errors import InvalidRequest
from gateway.models.base import Environment
from gateway.money import Money, exact
from gateway.secrets import Secret

__all__ = ["AccountSettings", "AssetCode", "BaseUrl", "Bound", "Duration", "Limits", "RingAuth", "Setting"]


class Setting(BaseModel):
    """The base of every settings table: unknown names are refused, and errors show no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_a_port(parts: SplitResult) -> bool:
    """Whether the port of an address, if it names one, is a number that a port can be."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _proxy(value: Secret) -> Secret:
    # The texts carry nothing of the value: it can hold a password.
    try:
        parts = urlsplit(value.reveal())
    except ValueError:
        raise ValueError("expected the address of a proxy, such as http://user:password@proxy.example:3128") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_a_port(parts):
        raise ValueError("expected the address of a proxy, such as http://user:password@proxy.example:3128")
    return value


def _certificates(value: str) -> str:
    try:
        ssl.create_default_context(cafile=value)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise ValueError(f"expected a readable file of certificates in PEM form ({type(error).__name__})") from None
    return value


def _operations(value: frozenset[str]) -> frozenset[str]:
    for name in sorted(value):
        operation, colon, variant = name.partition(":")
        known = OPERATIONS.get(operation)
        if known is None or (colon and variant not in known.variants):
            near = difflib.get_close_matches(operation, OPERATIONS, n=1)
            raise ValueError(
                "names no operation that the gateway knows" + (f"; did you mean {near[0]}?" if near else "")
            )
    return value


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if any(ord(character) <= 32 or ord(character) == 127 for character in value) or not _has_a_port(parts):
        raise ValueError("expected an address such as https://api.example.com/v1")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("expected an address such as https://api.example.com/v1")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("https is required; plain http is only for 127.0.0.1, ::1 and localhost")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password")
    if parts.query or parts.fragment:
        raise ValueError("must not carry a query or a fragment")
    return value.rstrip("/")


def _tolerance(value: object) -> object:
    if isinstance(value, str) and value.endswith("%"):
        return exact(value[:-1]) / 100
    raise ValueError("expected a percentage as text, such as '0.5%'")


def _several(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


def _written(value: object) -> object:
    if not isinstance(value, (str, dict, Money)) or (isinstance(value, str) and " " not in value.strip()):
        raise ValueError("expected a text such as '0.05 BTC'")
    return value


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: object) -> object:
    written = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", value) if isinstance(value, str) else None
    if isinstance(value, timedelta):
        return value
    if written is None:
        raise ValueError("expected a time as text, such as '60s', '15m', '12h' or '1d'")
    return timedelta(seconds=int(written[1]) * _SECONDS[written[2]])


def _unknown(code: str, known: list[str]) -> ValueError:
    # What was written is not repeated: it may be a secret in the wrong place.
    near = difflib.get_close_matches(code, known, n=3)
    return ValueError("unknown asset" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def _known_code(value: str) -> str:
    try:
        return Asset.of(value).code
    except InvalidRequest:
        raise _unknown(value, [asset.code for asset in known_assets()]) from None


def _bound(value: Money) -> Money:
    _known_code(value.asset.code)
    if value.amount < 0:
        raise ValueError("must not be below zero")
    return value


def _limit(value: Money) -> Money:
    # Limits go by symbols: that of a coin of which only networks are registered is one too.
    symbols = sorted({asset.symbol for asset in known_assets()})
    if value.asset.network is not None:
        return _bound(value)
    if value.asset.symbol not in symbols:
        raise _unknown(value.asset.symbol, symbols)
    if value.amount < 0:
        raise ValueError("must not be below zero")
    return value


def _one_a_symbol(values: tuple[Money, ...]) -> tuple[Money, ...]:
    symbols = [value.asset.symbol for value in values]
    for symbol in symbols:
        if symbols.count(symbol) > 1:
            raise ValueError(f"has more than one amount of {symbol}; a limit covers all networks of a symbol together")
    return values


BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""Where an API is: https, or http on loopback; without credentials, query, or a slash at its end."""
AssetCode = Annotated[str, AfterValidator(_known_code)]
"""The code of a known asset, as text."""
Bound = Annotated[Money, BeforeValidator(_written), AfterValidator(_bound)]
"""An amount of a known asset, zero or more."""
Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A length of time above zero, written as a whole number of seconds, minutes, hours or days."""
Limit = Annotated[Money, BeforeValidator(_written), AfterValidator(_limit)]
Amounts = Annotated[tuple[Limit, ...], BeforeValidator(_several), AfterValidator(_one_a_symbol)]


class Limits(Setting):
    """The merchant's own brakes on payouts; what a new card is loaded with counts as one.

    An amount limits every asset of its symbol, on all networks together.
    """

    per_withdrawal: Amounts = Field(default=(), description="the most that one payout may be, one amount a symbol")
    per_day: Amounts = Field(default=(), description="the most within any 24 hours, one amount a symbol")
    destinations: tuple[str, ...] | None = Field(
        default=None,
        description="the only destinations allowed, all where none is stated: of a Lightning payout the payee's node "
        "public key, of a card top-up the card's id, of a new card `a new card`, of any other payout the address",
    )
    frozen: bool = Field(
        default=False, description="no payout, no new card and no refund at all; also `gateway freeze ACCOUNT`"
    )


class RingAuth(Setting):
    """The account works with the keys of its ring, which `gateway keys` fills, instead of one key that stands here."""

    kind: Literal["ring"] = Field(description="keys come from the account's ring")


class AccountSettings(Setting):
    """What every account may say, whatever its provider."""

    provider: str = Field(description="the provider's name, as `gateway providers` shows it")
    environment: Environment = Field(
        default=Environment.LIVE, description="stamped on every row; live and sandbox are never mixed"
    )
    base_url: BaseUrl = Field(description="where the provider is; https, except on loopback")
    proxy: Annotated[Secret, AfterValidator(_proxy)] | None = Field(
        default=None, description="an egress proxy, for providers that restrict IP addresses"
    )
    egress: Annotated[tuple[IPvAnyAddress, ...], BeforeValidator(_several)] = Field(
        default=(),
        description="the addresses that the provider sees requests come from, for keys that are restricted to some; "
        "else the gateway's `egress`",
    )
    key_pool: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        default=None, description="which pool of the ring's keys is used; needed where they have several"
    )
    ca_file: Annotated[str, AfterValidator(_certificates)] | None = Field(
        default=None, description="certificates to trust instead of the system's, a PEM file"
    )
    allow_inferred: Annotated[frozenset[str], AfterValidator(_operations)] = Field(
        default=frozenset(), description="operations graded I that may be called, such as 'wallets.list'"
    )
    underpayment_tolerance: Annotated[Decimal, BeforeValidator(_tolerance), Field(ge=0, lt=1)] = Field(
        default=Decimal(0), validate_default=False, description="how much less than asked still counts as paid: '0.5%'"
    )
    limits: Limits = Field(default_factory=Limits, description="brakes on payouts")
    timeout: Annotated[int, Field(ge=1, le=600)] = Field(
        default=30, description="seconds a call may take, unless the call says otherwise"
    )
