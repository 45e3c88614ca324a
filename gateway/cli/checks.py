"""What `gateway doctor` looks at. Each check tells what it found and, unless that is fine, what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from gateway.api import AccountHandle, Gateway
from gateway.capabilities import Capabilities, Support
from gateway.contracts.settings import AccountSettings, is_loopback
from gateway.errors import GatewayError, UnsupportedOperation, UnverifiedOperation
from gateway.models.base import Environment
from gateway.observation import Record
from gateway.plugins import Plugins
from gateway.references import References
from gateway.secrets import Secret

__all__ = [
    "Finding",
    "Level",
    "account_at_risk",
    "authenticated_read",
    "failed",
    "headroom",
    "literal_password",
    "literal_secrets",
    "plugins_loaded",
    "secrets_resolved",
    "store_writable",
    "vault_opens",
]

READ_SECONDS = 10
"""How long the read of one account may take: a doctor that waits long for one says nothing about the others."""

# No provider says how far a clock may be off. A signature with a time in it is refused by some after a minute.
_ODD, _WRONG = timedelta(seconds=5), timedelta(seconds=60)
_IN_MEMORY = ("sqlite://", "sqlite:///", "sqlite:///:memory:")
_REFERENCES = ("env:", "file:", "vault:")


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Works, and should be looked at."""
    PROBLEM = "problem"
    """Something will not work until it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `account` None: it is about the gateway as a whole."""

    check: str
    level: Level
    found: str
    todo: str | None = None
    account: str | None = None


def failed(check: str, error: GatewayError, account: str | None = None) -> Finding:
    """The finding that this error is."""
    return Finding(check, Level.PROBLEM, error.message, error.hint or "mend what it says", account)


def plugins_loaded(plugins: Plugins) -> Iterator[Finding]:
    for plugin in plugins.loaded:
        if plugin.name in plugins.missing:
            yield Finding(
                "plugins", Level.PROBLEM, f"{plugin.name}: {plugin.error}", "install it, or correct GATEWAY_PLUGINS"
            )
        elif plugin.error:
            yield Finding(
                "plugins",
                Level.PROBLEM,
                f"{plugin.origin} did not load: {plugin.error}",
                "update it, uninstall it, or leave it out of GATEWAY_PLUGINS",
            )
    names = ", ".join(sorted(plugins.providers))
    if names:
        yield Finding("plugins", Level.OK, f"providers: {names}")
    else:
        yield Finding("plugins", Level.PROBLEM, "no provider is installed", "install one; unset GATEWAY_PLUGINS")


def store_writable(url: str) -> Iterator[Finding]:
    """Whether what has to be remembered can be. A store that is not there yet is not made."""
    from gateway.store.database import Database
    from gateway.store.watches import counts

    in_memory = url in _IN_MEMORY
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    if path is not None and not in_memory and path.parent.is_dir() and not path.exists():
        if os.access(path.parent, os.W_OK | os.X_OK):
            yield Finding("store", Level.OK, f"there is none yet; it will be {path}")
        else:
            yield Finding(
                "store",
                Level.PROBLEM,
                f"there is none yet, and {path.parent} is not writable",
                "make the folder writable for this user, or name another place in `store`",
            )
        return
    try:
        with Database.open(url, create=in_memory) as database:
            database.require_writable()
            found = database.check()
            watched = database.read(lambda connection: counts(connection, datetime.now(UTC))) if found["ok"] else []
    except GatewayError as error:
        yield failed("store", error)
        return
    if found["ok"]:
        yield Finding("store", Level.OK, f"{found['store']} is sound and writable")
    elif not found["restored"]:
        yield Finding(
            "store", Level.PROBLEM, f"{found['store']} is not sound", "`gateway store check` says what is wrong"
        )
    if in_memory:
        yield Finding("store", Level.WARNING, "it is forgotten when the process ends", 'store = "sqlite:///gateway.db"')
    for sign in found["restored"]:
        yield Finding(
            "restore",
            Level.PROBLEM,
            f"the store was restored ({sign}); no money leaves; open journal entries: {len(found['open_entries'])}",
            "`gateway store check`; compare with the providers, then `gateway store accept-restore`",
        )
    if found.get("fsync") == "off":
        yield Finding(
            "store", Level.WARNING, "the server has fsync off: a power cut can lose what was sent", "set fsync = on"
        )
    late = [count for count in watched if count.overdue]
    if late:
        yield Finding(
            "polling",
            Level.WARNING,
            f"overdue since {min(count.next_at for count in late):%Y-%m-%d %H:%M} UTC: "
            + ", ".join(f"{count.overdue} at {count.account} ({count.environment})" for count in late),
            "run `gateway worker`; where one runs, its log says which account fails or has no calls left",
        )
    unknown = found["journal"].get("unknown", 0)
    if unknown:
        yield Finding(
            "journal",
            Level.WARNING,
            f"writes of unknown outcome: {unknown}",
            "`gateway journal list --state unknown`, look at the provider, then `gateway journal settle`",
        )


def vault_opens(found: References) -> Finding:
    """Whether every secret in the vault can be read. One that is not there yet is not made."""
    try:
        vault = found.vault()
        count = vault.check()
    except GatewayError as error:
        return failed("vault", error)
    return Finding("vault", Level.OK, f"{vault.name}: all secrets open: {count}")


def secrets_resolved(account: str, table: Mapping[str, Any], found: References) -> list[Finding]:
    """The secrets of an account's table that are named and cannot be had."""
    findings = []
    for path, text in _texts(table, f"accounts.{account}"):
        if text.startswith(_REFERENCES):
            try:
                found.resolve(text)
            except ValueError as error:
                todo = "set it for this process, or correct the reference"
                findings.append(Finding("secrets", Level.PROBLEM, f"{path}: {error}", todo, account))
    return findings


def literal_secrets(settings: BaseModel, in_file: Mapping[str, Any], path: str = "") -> list[str]:
    """The paths of the secrets that stand in the configuration file themselves."""
    return [place for place, value in _secrets(settings, in_file, path) if _is_literal(value)]


def literal_password(in_file: Mapping[str, Any]) -> bool:
    """Whether the address of the store in the configuration file holds the server's password."""
    try:
        return bool(urlsplit(str(in_file.get("store", ""))).password)
    except ValueError:
        return False


def account_at_risk(
    account: str, settings: AccountSettings, capabilities: Capabilities, in_file: Mapping[str, Any]
) -> Iterator[Finding]:
    """Settings that work and can hurt."""
    found = list(_risks(f"accounts.{account}", settings, capabilities, in_file))
    for what, todo in found:
        yield Finding("settings at risk", Level.WARNING, what, todo, account)
    if not found:
        yield Finding("settings at risk", Level.OK, "none", account=account)


def _risks(
    path: str, settings: AccountSettings, capabilities: Capabilities, in_file: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    literal = literal_secrets(settings, in_file, path)
    if literal:
        yield (
            f"secrets stand in the file: {', '.join(literal)}",
            "write env:NAME, file:PATH or vault:account/label instead",
        )
    if settings.allow_inferred:
        yield (
            "operations that nobody was seen using are allowed: " + ", ".join(sorted(settings.allow_inferred)),
            f"try each with little money first; leave out of {path}.allow_inferred what is not needed",
        )
    pays_out = any(row.operation == "withdrawals.create" and row.support is Support.SUPPORTED for row in capabilities)
    limits = settings.limits
    if pays_out and not (limits.per_withdrawal or limits.per_day or limits.frozen):
        yield "payouts have no limit", f"set {path}.limits.per_withdrawal and {path}.limits.per_day"
    elif pays_out and not limits.frozen and _pays_more_than_is_limited(settings, capabilities):
        limited = sorted({most.asset.symbol for most in (*limits.per_withdrawal, *limits.per_day)})
        yield (
            f"payouts in other assets than {', '.join(limited)} have no limit",
            f"add an amount of every symbol that the account pays out to {path}.limits",
        )
    parts = urlsplit(settings.base_url)
    if settings.environment is Environment.LIVE:
        if parts.scheme == "http":
            yield "base_url is http: requests leave unencrypted", f"write https in {path}.base_url"
        if is_loopback(parts.hostname or ""):
            yield (
                "it is live, and base_url is this machine",
                f'of a sandbox: {path}.environment = "sandbox"; otherwise the address of the provider',
            )


def _pays_more_than_is_limited(settings: AccountSettings, capabilities: Capabilities) -> bool:
    """Whether a payout that the account may make is in no asset of `limits`: an invoice is paid in BTC, a card holds
    fiat money, and an address takes any coin.
    """
    limited = [most.asset for most in (*settings.limits.per_withdrawal, *settings.limits.per_day)]
    covered = {
        "lightning": any(asset.symbol == "BTC" for asset in limited),
        "card": any(asset.is_fiat for asset in limited),
        "address": False,
    }
    for variant in capabilities.variants("withdrawals.create"):
        try:
            capabilities.require("withdrawals.create", variant, allowed=settings.allow_inferred)
        except UnverifiedOperation:
            continue
        if not covered[variant]:
            return True
    return False


def headroom(handle: AccountHandle) -> Finding:
    free, limit = handle.rate_headroom(), handle.rate_limit
    if limit is None or free is None:
        return Finding("rate", Level.OK, "the provider declares no limit", account=handle.name)
    if handle.has_ring and not handle._account.ring.in_use():  # told with the keys
        return Finding("rate", Level.OK, "no key is used, so no call is counted", account=handle.name)
    words = f"{free} of {limit.requests} calls within {limit.seconds} s are free"
    if free:
        return Finding("rate", Level.OK, words, account=handle.name)
    return Finding("rate", Level.WARNING, words, "wait, or read less often", handle.name)


def authenticated_read(gateway: Gateway, account: str) -> Iterator[Finding]:
    """Whether the provider accepts the key, and what its clock says meanwhile."""
    seen: list[Record] = []
    gateway.observe(seen.append)
    try:
        gateway.keys.verify(account=account, deadline=READ_SECONDS)
    except (UnsupportedOperation, UnverifiedOperation) as error:
        yield Finding(
            "read", Level.WARNING, f"the key was not tried: {error.message}", error.hint or "try another read", account
        )
    except GatewayError as error:
        yield failed("read", error, account)
    else:
        yield Finding("read", Level.OK, "the provider accepts the key", account=account)
    answered = [record for record in seen if record.account == account and record.status is not None]
    if answered:
        yield clock_skew(account, answered[-1])


def clock_skew(account: str, record: Record) -> Finding:
    """This machine's clock beside the Date of an answer, which is in whole seconds and may be as old as the
    exchange took.
    """
    try:
        theirs = parsedate_to_datetime(record.date or "")
    except ValueError:
        return Finding("clock", Level.OK, "not compared: the answer does not say its time", account=account)
    theirs = theirs.replace(tzinfo=theirs.tzinfo or UTC)
    earliest, latest = record.started_at, record.started_at + timedelta(seconds=record.seconds)
    off = _distance(theirs, earliest - timedelta(seconds=1), latest)
    if abs(off) < _ODD:
        return Finding("clock", Level.OK, "it agrees with the provider's", account=account)
    side = "behind" if off > timedelta(0) else "ahead of"
    return Finding(
        "clock",
        Level.PROBLEM if abs(off) >= _WRONG else Level.WARNING,
        f"it is {abs(off) // timedelta(seconds=1)} s {side} the provider's",
        "set this machine's clock, and keep it set (NTP): signatures and logins depend on it",
        account,
    )


def _distance(moment: datetime, earliest: datetime, latest: datetime) -> timedelta:
    return moment - min(max(moment, earliest), latest)


def _texts(data: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _texts(value, f"{path}.{key}")
    elif isinstance(data, (list, tuple)):
        for index, value in enumerate(data):
            yield from _texts(value, f"{path}.{index}")
    elif isinstance(data, str):
        yield path, data


def _secrets(value: Any, written: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every secret of a settings model together with how it is written."""
    if isinstance(value, Secret):
        if isinstance(written, str):
            yield path, written
        return
    if isinstance(value, (tuple, list)):
        # One may be written without its list.
        several = written if isinstance(written, (tuple, list)) else [written]
        for index, (item, text) in enumerate(zip(value, several, strict=False)):
            yield from _secrets(item, text, f"{path}.{index}" if several is written else path)
        return
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping) and isinstance(written, Mapping):
        for key, item in value.items():
            yield from _secrets(item, written.get(key), f"{path}.{key}".lstrip("."))


def _is_literal(text: str) -> bool:
    """An address without a password (of a proxy) is no secret, though it may stand where one can."""
    return not text.startswith(_REFERENCES) and not ("://" in text and "@" not in text)
