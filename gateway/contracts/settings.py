"""What an account's section of the configuration may say. An adapter subclasses `AccountSettings`; its fields
document themselves.
"""

from __future__ import annotations

import difflib
import ipaddress
import ssl
from decimal import Decimal
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.capabilities import OPERATIONS
from gateway.models.base import Environment
from gateway.money import Money, exact
from gateway.secrets import Secret

__all__ = ["AccountSettings", "BaseUrl", "Limits", "Setting"]


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
    return (value,) if isinstance(value, str) else value


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Amounts = Annotated[tuple[Money, ...], BeforeValidator(_several)]


class Limits(Setting):
    """The merchant's own brakes on payouts. An amount limits every asset of its symbol, on all networks together."""

    per_withdrawal: Amounts = Field(default=(), description="the most that one payout may be, one amount a symbol")
    per_day: Amounts = Field(default=(), description="the most within any 24 hours, one amount a symbol")
    destinations: tuple[str, ...] | None = Field(
        default=None, description="the only destinations allowed; none stated: all"
    )
    frozen: bool = Field(default=False, description="no payout at all; also `gateway freeze ACCOUNT`")


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
