"""The configuration: TOML, environment and keyword arguments, checked as a whole before anything is opened.

Keyword arguments win over the environment, the environment over the file. Every mistake is named with the path of
its setting and what was expected; values are never shown, because any of them may be a secret in the wrong place.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyAddress,
    IPvAnyNetwork,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from gateway.capabilities import OPERATIONS
from gateway.contracts.settings import AccountSettings, AssetCode, BaseUrl, Bound, Duration, Setting
from gateway.errors import ConfigurationError, InvalidRequest
from gateway.models.base import KnownAsset
from gateway.models.orders import Settlement
from gateway.money import Money
from gateway.plugins import Plugins
from gateway.references import References, resolve_secret
from gateway.secrets import Secret

if TYPE_CHECKING:
    from gateway.keyring.masterkeys import MasterKey

__all__ = [
    "DEFAULT_STORE",
    "Failover",
    "GatewaySettings",
    "KeySettings",
    "Pause",
    "ReconcileSettings",
    "Route",
    "VaultSettings",
    "WatchSettings",
    "WorkerSettings",
    "account_settings",
    "check_settings",
    "load",
    "load_settings",
    "read_file",
    "read_settings",
    "references",
    "references_of",
    "resolve_secret",
    "vault_settings",
]

DEFAULT_STORE = "sqlite:///gateway.db"
SHORTEST_KEY = 16
"""Bytes of a callback key. A token is 128 bits: whoever can guess the key in less can forge every token."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

M = TypeVar("M", bound=Setting)


def _several(value: object) -> object:
    return (value,) if isinstance(value, (str, Secret)) else value


def _several_addresses(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


def _long_enough(value: Secret) -> Secret:
    if len(value.encode()) < SHORTEST_KEY:
        raise ValueError(f"is too short: expected at least {SHORTEST_KEY} bytes, such as `openssl rand -hex 32` makes")
    return value


def _write(value: str) -> str:
    if value not in OPERATIONS or not OPERATIONS[value].write:
        raise ValueError("expected an operation that writes, such as orders.create or withdrawals.create")
    return value


CallbackKeys = Annotated[tuple[Annotated[Secret, AfterValidator(_long_enough)], ...], BeforeValidator(_several)]


def _at_least_ten_seconds(value: timedelta) -> timedelta:
    if value < timedelta(seconds=10):
        raise ValueError("must be at least 10 s")
    return value


Pause = Annotated[Duration, AfterValidator(_at_least_ten_seconds)]
"""The time between two reads of one thing."""


class Route(Setting):
    """Which accounts serve an operation, in this order, and for which requests. All stated conditions must hold."""

    operation: Annotated[str, AfterValidator(_write)] = Field(
        description="the operation routed: orders.create or withdrawals.create"
    )
    accounts: tuple[str, ...] = Field(min_length=1, description="the accounts, first choice first")
    currency: Annotated[tuple[AssetCode, ...], BeforeValidator(_several)] | None = Field(
        default=None, description="only for prices in these assets"
    )
    pay_with: Annotated[tuple[KnownAsset, ...], BeforeValidator(_several)] | None = Field(
        default=None, description="only for orders paid in these coins"
    )
    min: Bound | None = Field(default=None, description="only from this amount on; of the same asset")
    max: Bound | None = Field(default=None, description="only up to this amount; of the same asset")
    settles_to: Settlement = Field(default=Settlement.MERCHANT, description="whose money the order becomes")

    @model_validator(mode="after")
    def _can_fit(self) -> Self:
        """A route that no amount can fit would be passed over in silence."""
        if self.min is not None and self.max is not None:
            if self.min.asset != self.max.asset:
                raise ValueError("min and max are of different assets: no amount can fit")
            if self.min > self.max:
                raise ValueError("min is above max: no amount can fit")
        return self

    def excludes(self, amount: Money) -> str | None:
        """Why this amount is not for this route; None when it is."""
        if self.currency is not None and amount.asset.code not in self.currency:
            return f"only for {', '.join(self.currency)}"
        if self.min is not None and (self.min.asset != amount.asset or amount < self.min):
            return f"only from {self.min} on"
        if self.max is not None and (self.max.asset != amount.asset or amount > self.max):
            return f"only up to {self.max}"
        return None


def _at_least_a_day(value: timedelta) -> timedelta:
    if value < timedelta(days=1):
        raise ValueError("must be at least 1 d: what is younger may still be looked at")
    return value


def _at_least_three_seconds(value: timedelta) -> timedelta:
    if value < timedelta(seconds=3):
        raise ValueError("must be at least 3 s")
    return value


class WorkerSettings(Setting):
    """The worker: `gateway worker`, or `run()` in a program."""

    backend: Literal["auto", "embedded", "procrastinate"] = Field(
        default="auto",
        description="how workers share the work: `embedded`, one at a time on a store; `procrastinate`, any number on "
        "PostgreSQL; `auto`, what the store and what is installed allow",
    )
    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="how many jobs one worker does at once"
    )
    grace: Duration = Field(
        default=timedelta(seconds=30),
        description="how long what is under way may take to end when the worker is told to stop",
    )
    stalled_after: Annotated[Duration, AfterValidator(_at_least_three_seconds)] = Field(
        default=timedelta(seconds=30),
        description="after how long without a sign of life of a worker another one does what it was at; of "
        "`procrastinate` alone",
    )
    prune_older_than: Annotated[Duration, AfterValidator(_at_least_a_day)] | None = Field(
        default=None,
        description="once a day, payloads of what ended longer ago are dropped, as by `gateway store prune`",
    )


class Failover(Setting):
    """When an account that keeps failing at making orders is passed over in favour of the others of its routes.

    A failure is a provider that cannot be reached, answers with a server error, or leaves open whether it made the
    order. After the time one order tries the account again. One that is the last left is used all the same.
    """

    failures: Annotated[int, Field(ge=1, le=1000)] = Field(default=3, description="how many failures in a row count")
    cool_down: Duration = Field(default=timedelta(seconds=60), description="how long it is passed over")


class WatchSettings(Setting):
    """How often the worker reads again what can still change: orders, payouts, refunds and trades.

    The pauses between two reads of one thing, each at least 10 s. They grow with its age; every change begins anew.
    """

    soon: Pause = Field(default=timedelta(seconds=10), description="in the first two minutes")
    early: Pause = Field(default=timedelta(seconds=30), description="until it is ten minutes old")
    waiting: Pause = Field(
        default=timedelta(minutes=2),
        description="until the order expires, or for an hour where the provider does not say when",
    )
    late: Pause = Field(default=timedelta(minutes=15), description="in the two hours after that")
    rarely: Pause = Field(default=timedelta(hours=1), description="later on; after a day less and less often")
    monitoring: Duration = Field(
        default=timedelta(days=1),
        description="how long an order is still read after it has ended: money can come late, or go back",
    )
    callback: Pause = Field(
        default=timedelta(minutes=2),
        description="how long a change is left to the callback, where the provider sends one",
    )


class ReconcileSettings(Setting):
    """When the worker compares the providers' books with the store. What it finds is logged, and kept for
    `gateway reconcile --last`.
    """

    scheduled: bool = Field(default=True, description="whether the worker does it by itself")
    every: Duration = Field(default=timedelta(days=1), description="how often, every account")
    window: Duration = Field(default=timedelta(days=7), description="how far back each time")
    repair: bool = Field(default=False, description="whether what is known here follows what the provider shows")


class KeySettings(Setting):
    """The accounts' rings of keys."""

    refresh: Duration = Field(
        default=timedelta(seconds=5), description="how long a change of a ring may take to reach all processes"
    )
    expiring: Duration = Field(
        default=timedelta(days=7), description="how long before a key expires `gateway doctor` and an event tell"
    )
    oldest: Duration = Field(
        default=timedelta(days=365), description="from what age on `gateway doctor` says to replace a key"
    )


def _outside_the_vault(value: object) -> object:
    if isinstance(value, str) and value.startswith("vault:"):
        raise ValueError("cannot be in the vault that it opens: use env:NAME or file:PATH")
    return value


class VaultSettings(Setting):
    """Where secrets are kept that are written `vault:account/label`, and what opens it.

    At most one of `key`, `key_file`, `passphrase` and `external`; with none, the environment variable
    GATEWAY_VAULT_KEY has the key. `gateway vault init` makes the vault, `gateway vault put` keeps a secret in it.
    """

    at: Annotated[str, Field(min_length=1)] = Field(
        default="gateway.vault",
        description="a file, a relative path being beside the configuration file; `store`: in the store",
    )
    key: Annotated[Secret, BeforeValidator(_outside_the_vault)] | None = Field(
        default=None, description="the master key: 32 bytes, as 64 hex digits or in Base64"
    )
    key_file: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="a file with such a key that only this user can read, a relative path being beside the "
        "configuration file",
    )
    passphrase: Annotated[Secret, BeforeValidator(_outside_the_vault)] | None = Field(
        default=None, description="a text instead of a key; opening the vault takes a part of a second and 128 MiB then"
    )
    external: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")] | None = Field(
        default=None,
        description="`module:attribute`, which names a `gateway.keyring.ExternalKey` or a callable that returns one, "
        "for a key that a service keeps",
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [name for name in ("key", "key_file", "passphrase", "external") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given: expected one")
        return self


class GatewaySettings(Setting):
    """The whole configuration. `accounts` are checked by their adapters' own settings models."""

    # Not shown: the address of a server holds a password.
    store: str = Field(
        default=DEFAULT_STORE,
        repr=False,
        description="the database: `sqlite:///PATH`, a relative path being beside the configuration file, or "
        "`postgresql://user:password@host/database`, with `?schema=NAME` for a schema of its own; `env:NAME` and "
        "`file:PATH` are followed",
    )
    public_base_url: BaseUrl | None = Field(
        default=None,
        description="where callbacks arrive: the address that providers call, with the path of the mounted application",
    )
    callback_key: CallbackKeys = Field(
        default=(),
        description="signs the gateway's own callback tokens, at least 16 bytes; of several, the first signs and all "
        "admit, while one replaces another",
    )
    callback_body_limit: Annotated[int, Field(ge=1024, le=16_777_216)] = Field(
        default=65_536, description="bytes that the body of a callback may have"
    )
    callback_timeout: Annotated[int, Field(ge=1, le=600)] = Field(
        default=10, description="seconds that the body of a callback may take to come"
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="proxies whose forwarding headers count; they only tell the client's address that is recorded",
    )
    # Not shown: the tables are as they were written, and a secret may stand there itself.
    accounts: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False, description="one table an account")
    routes: tuple[Route, ...] = Field(default=(), description="which accounts serve which operation")
    egress: Annotated[tuple[IPvAnyAddress, ...], BeforeValidator(_several_addresses)] = Field(
        default=(),
        description="the addresses that providers see requests come from, for keys that are restricted to some; an "
        "account can have its own",
    )
    keys: KeySettings = Field(default_factory=KeySettings, description="the accounts' rings of keys")
    failover: Failover = Field(
        default_factory=Failover, description="when an account that keeps failing is passed over"
    )
    reconcile: ReconcileSettings = Field(
        default_factory=ReconcileSettings, description="when the worker compares the providers' books with the store"
    )
    vault: VaultSettings | None = Field(
        default=None, description="where secrets are kept that are written `vault:account/label`"
    )
    worker: WorkerSettings = Field(default_factory=WorkerSettings, description="the worker")
    watch: WatchSettings = Field(default_factory=WatchSettings, description="how often what can change is read again")
    telemetry: bool = Field(
        default=False,
        description="spans and measurements by OpenTelemetry's global providers; needs the extra `telemetry`",
    )


class _Environment(BaseSettings):
    """Reads `GATEWAY_…` only; what is right is decided by `GatewaySettings`."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_nested_delimiter="__", extra="ignore")

    store: Any = None
    public_base_url: Any = None
    callback_key: Any = None
    callback_body_limit: Any = None
    callback_timeout: Any = None
    trusted_proxies: list[Any] | None = None
    accounts: dict[str, dict[str, Any]] | None = None
    routes: list[Any] | None = None
    egress: Any = None
    keys: dict[str, Any] | None = None
    failover: dict[str, Any] | None = None
    reconcile: dict[str, Any] | None = None
    vault: dict[str, Any] | None = None
    worker: dict[str, Any] | None = None
    watch: dict[str, Any] | None = None
    telemetry: Any = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings,)


def _from_environment() -> dict[str, Any]:
    try:
        return {key: _decoded(value) for key, value in _Environment().model_dump(exclude_unset=True).items()}
    except SettingsError as error:
        named = re.search(r'"(\w+)"', str(error))
        path = [named[1] if named else ""]
    except ValidationError as error:
        path = [str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"]]
    raise _unreadable(path)  # now: both hold what the variable says


def _unreadable(path: list[str]) -> ConfigurationError:
    """The mistake in the variable that this setting came from: `GATEWAY_ACCOUNTS__SHOP` and `GATEWAY_ACCOUNTS` both
    can hold `accounts.shop`.
    """
    present = {name.upper(): name for name in os.environ}
    names = ["GATEWAY_" + "__".join(path[:length]).upper() for length in range(len(path), 0, -1)]
    beginning = [present[name] for name in sorted(present) if name.startswith(f"{names[-1]}__")]
    name = next((present[name] for name in names if name in present), beginning[0] if beginning else names[-1])
    return ConfigurationError(
        f"the environment variable {name} cannot be read", hint="lists and tables are written as JSON"
    )


def _decoded(value: Any) -> Any:
    """Lists and tables inside an account's table, which pydantic-settings leaves as text because it does not know
    the model.
    """
    if isinstance(value, dict):
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value, parse_float=Decimal)
        except ValueError:
            return value
    return value


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def load_settings(
    file: str | os.PathLike[str] | None = None, *, vault_key: MasterKey | None = None, **given: Any
) -> GatewaySettings:
    """The configuration of a file (optional), the environment (`GATEWAY_…`, nested with `__`) and keyword arguments.

    `vault_key` opens the vault instead of what the settings say. Raises ConfigurationError.
    """
    settings, found = load(file, vault_key=vault_key, **given)
    found.close()
    return settings


def load(
    file: str | os.PathLike[str] | None = None, *, vault_key: MasterKey | None = None, **given: Any
) -> tuple[GatewaySettings, References]:
    """The same together with what its secrets refer to, for those of the accounts. To be closed or handed over."""
    if vault_key is not None and given.get("vault") is None:
        given["vault"] = {}
    data = read_settings(file, **given)
    found = references_of(data, vault_key)
    try:
        return check_settings(data, found), found
    except BaseException:
        found.close()
        raise


def references_of(data: Mapping[str, Any], vault_key: MasterKey | None = None) -> References:
    """What the secrets in this data refer to, which need not be right: the vault's settings are checked when it is
    opened.
    """
    return References(lambda: vault_settings(data), str(data.get("store", DEFAULT_STORE)), key=vault_key)


def vault_settings(data: Mapping[str, Any]) -> VaultSettings | None:
    """The vault's settings in this data; None without. Raises ConfigurationError."""
    table = data.get("vault")
    return None if table is None else _checked(VaultSettings, _table(table, "vault"), "vault")


def references(settings: GatewaySettings, vault_key: MasterKey | None = None) -> References:
    """What the secrets in the accounts of this configuration refer to."""
    vault = settings.vault or (VaultSettings() if vault_key is not None else None)
    return References(lambda: vault, settings.store, key=vault_key)


def read_settings(file: str | os.PathLike[str] | None = None, **given: Any) -> dict[str, Any]:
    """The same as data, put together and not checked. Raises ConfigurationError for what cannot be read at all."""
    data = read_file(Path(file)) if file is not None else {}
    data = _merged(data, _from_environment())
    data = _merged(data, {key: value for key, value in given.items() if value is not None})
    store = data.get("store")
    if isinstance(store, str) and store.startswith(("env:", "file:", "vault:")):
        try:
            data["store"] = resolve_secret(store)
        except ValueError as error:
            raise ConfigurationError(f"store: {error}") from None
    if "vault" not in data and os.environ.get("GATEWAY_VAULT_KEY"):
        data["vault"] = {}
    if isinstance(data.get("vault"), Mapping) and "at" not in data["vault"] and file is not None:
        data["vault"] = {**data["vault"], "at": str(Path(file).resolve().parent / VaultSettings().at)}
    return data


def check_settings(data: Mapping[str, Any], found: References | None = None) -> GatewaySettings:
    """The configuration that this data is; its accounts are checked when they are opened. Raises ConfigurationError.

    `found` has the vault for secrets that are in it; without, it is opened for them and closed again.
    """
    if found is None:
        with references_of(data) as found:
            return check_settings(data, found)
    settings = _checked(GatewaySettings, data, found=found)
    known = set(settings.accounts)
    for index, route in enumerate(settings.routes):
        for account in route.accounts:
            if account not in known:
                raise ConfigurationError(
                    f"routes.{index}.accounts: no account is called {account!r}",
                    hint="configured: " + (", ".join(sorted(known)) or "none"),
                )
    return settings


def read_file(path: Path) -> dict[str, Any]:
    """What a configuration file says, alone and not checked. Raises ConfigurationError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"there is no configuration file {path}", hint="name one with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {path} cannot be read: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        # Its text names the place and the kind of mistake, not the line's content.
        raise ConfigurationError(f"the configuration file {path} is not TOML: {error}") from None
    store = data.get("store", DEFAULT_STORE)
    if (
        isinstance(store, str)
        and store.startswith("sqlite:///")
        and not store.startswith("sqlite:////")
        and store != "sqlite:///"
    ):
        # Beside the file, not in whatever folder the process was started: a second, empty database would forget
        # every reference.
        data["store"] = "sqlite:///" + str(path.resolve().parent / store.removeprefix("sqlite:///"))
    vault = data.get("vault")
    if isinstance(vault, dict):
        for name in ("at", "key_file"):
            if isinstance(vault.get(name), str) and (name, vault[name]) != ("at", "store") and vault[name]:
                vault[name] = str(path.resolve().parent / vault[name])
    return data


def account_settings(
    name: str, data: Mapping[str, Any], plugins: Plugins, found: References | None = None
) -> AccountSettings:
    """One account's table, checked by its adapter's own settings model. `found` has the vault for its secrets."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"accounts.{name[:64]!r}: no name of an account",
            hint="expected 1 to 64 letters (A-Z, a-z), digits, '-' and '_'",
        )
    place = f"accounts.{name}"
    data = _table(data, place)
    provider = data.get("provider")
    if not isinstance(provider, str):
        raise ConfigurationError(
            f"{place}.provider: expected the name of a provider",
            hint="installed: " + ", ".join(sorted(plugins.providers)),
        )
    try:
        model = plugins.provider(provider).settings
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}.provider: {error.message}", hint=error.hint) from None
    return _checked(model, data, place, found)


def _table(data: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{place}: expected a table")
    return data


def _checked(model: type[M], data: Mapping[str, Any], place: str = "", found: References | None = None) -> M:
    resolve = (found or References(lambda: None, DEFAULT_STORE)).resolve
    try:
        return model.model_validate(dict(data), context={"resolve_secret": resolve})
    except ValidationError as error:
        problems = [
            f"{_path(place, problem['loc'], data)}: {_words(problem)}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
    raise ConfigurationError("; ".join(problems), hint="docs/settings.md describes every setting")


def _path(place: str, location: tuple[int | str, ...], data: Any) -> str:
    parts = [place] if place else []
    told = False
    for index, part in enumerate(location):
        if isinstance(data, Mapping):
            if not told and (data.get("kind") == part or (part not in data and index + 1 < len(location))):
                told = True
                continue  # the tag of a union, which is no part of the path
            told = False
            data = data.get(part)
        elif isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif index + 1 < len(location) or isinstance(part, int):
            continue  # one value stands where several may: it has no number
        parts.append(str(part))
    return ".".join(parts) or "the configuration"


def _words(problem: Any) -> str:
    kind, words = problem["type"], str(problem["msg"]).removeprefix("Value error, ")
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, InvalidRequest):
        # Its message quotes what was written, which may be a secret in the wrong place.
        return "is no such value" + (f": {cause.hint}" if cause.hint else "")
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is no setting"
    if kind == "union_tag_not_found":
        return f"must say which {str(problem['ctx']['discriminator']).strip(chr(39))} it is"
    if kind == "union_tag_invalid":
        return f"is of no known kind; expected one of {problem['ctx']['expected_tags']}"
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    words = re.sub("^Input should be", "must be", words)
    return words[:1].lower() + words[1:]


_EXPECTED = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected a table"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "expected a list"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "expected a whole number"),
    "string_type": "expected a text",
}
