"""`gateway doctor`: is everything as it has to be, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from gateway.api import Gateway
from gateway.cli import checks, key_checks
from gateway.cli.checks import Finding, Level
from gateway.cli.output import Column, complain
from gateway.cli.progress import waiting
from gateway.cli.session import AsJson, ConfigFile, Session, example, session
from gateway.config import (
    DEFAULT_STORE,
    GatewaySettings,
    VaultSettings,
    account_settings,
    check_settings,
    read_file,
    read_settings,
    references_of,
    vault_settings,
)
from gateway.errors import ConfigurationError, GatewayError
from gateway.plugins import Plugins, load_plugins
from gateway.references import References

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    app.command("doctor", epilog=example("gateway doctor", "gateway doctor --config gateway.toml --json"))(doctor)


def doctor(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check plugins, configuration, secrets, keys, store, clock, and every account with an authenticated read.

    Every line is ok, a warning or a problem, and says what to do. A broken configuration is checked as far as it can
    be read, each account by itself. It changes nothing at the providers. Exit status 1 when there is a problem.
    """
    here = session(context, config, as_json)
    with waiting("looking", quiet=here.as_json):
        findings = list(_findings(here))
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if here.as_json:
        rows = [asdict(finding) for finding in findings]
        here.output.document({"ok": not problems, "problems": problems, "warnings": warnings, "checks": rows})
    else:
        here.output.rows(findings, _COLUMNS, asdict)
    if problems:
        if not here.as_json:
            complain(f"problems found: {problems}", "each line says what to do")
        raise typer.Exit(1)


def _findings(here: Session) -> Iterator[Finding]:
    plugins = load_plugins()
    yield from checks.plugins_loaded(plugins)
    try:
        file = here.file()
        data = read_settings(file)
        in_file = read_file(file) if file is not None else {}
    except GatewayError as error:
        yield checks.failed("configuration", error)
        return
    with references_of(data) as found:
        yield from _configured(plugins, file, data, in_file, found)


def _configured(
    plugins: Plugins, file: Path | None, data: dict[str, Any], in_file: dict[str, Any], found: References
) -> Iterator[Finding]:
    """What is found about a configuration that can be read, right or not."""
    try:
        settings = check_settings(data, found)
    except GatewayError as error:
        yield checks.failed("configuration", error)
    else:
        yield Finding("configuration", Level.OK, f"read from {file}" if file else "read from the environment")
        literal = checks.literal_secrets(settings.model_copy(update={"accounts": {}}), in_file)
        if literal:
            # What opens the vault cannot be in it.
            opens = all(path.startswith("vault.") for path in literal)
            todo = "env:NAME or file:PATH" if opens else "env:NAME, file:PATH or vault:account/label"
            what = f"{'a secret stands' if len(literal) == 1 else 'secrets stand'} in the file: {', '.join(literal)}"
            yield Finding("settings at risk", Level.WARNING, what, f"write {todo} instead")
    if checks.literal_password(in_file):
        todo = 'store = "env:NAME", or GATEWAY_STORE; or leave the password to a ~/.pgpass'
        yield Finding("settings at risk", Level.WARNING, "a secret stands in the file: store", todo)
    store = data.get("store", DEFAULT_STORE)
    if not isinstance(store, str):
        store = "sqlite://"  # told above; the accounts are checked without
    else:
        yield from checks.store_writable(store)
    vault = _vault(data)
    if vault is not None:
        yield checks.vault_opens(found)
    tables = _tables(data)
    if not tables:
        yield Finding("accounts", Level.WARNING, "none is configured", "`gateway sandbox` prints some to try")
    kept = key_checks.kept(store, found, has_vault=vault is not None, now=datetime.now(UTC))
    opened = _about_keys(data).model_copy(update={"store": store, "vault": vault})
    with Gateway(settings=opened, plugins=plugins) as gateway:
        for name, table in tables.items():
            yield from _account(gateway, plugins, name, table, _tables(in_file).get(name), found, kept)
    yield from key_checks.without_account(kept, tables)


def _vault(data: Mapping[str, Any]) -> VaultSettings | None:
    try:
        return vault_settings(data)
    except ConfigurationError:
        return None  # told with the rest of the configuration


def _about_keys(data: Mapping[str, Any]) -> GatewaySettings:
    """What the configuration says of all rings."""
    try:
        return check_settings({name: data[name] for name in ("egress", "keys") if name in data})
    except ConfigurationError:
        return GatewaySettings()  # told with the rest of the configuration


def _tables(data: Mapping[str, Any]) -> dict[str, Any]:
    accounts = data.get("accounts")
    return dict(accounts) if isinstance(accounts, Mapping) else {}


def _account(
    gateway: Gateway,
    plugins: Plugins,
    name: str,
    table: Any,
    in_file: Any,
    found: References,
    kept: key_checks.Kept,
) -> Iterator[Finding]:
    missing = checks.secrets_resolved(name, table, found) if isinstance(table, Mapping) else []
    if missing:
        # Without them the account cannot be opened, and every further message would be about the same.
        yield from missing
        return
    try:
        settings = account_settings(name, table, plugins, found)
        handle = gateway.add_account(name, **table)
    except ConfigurationError as error:
        yield checks.failed("account", error, name)
        return
    yield Finding("account", Level.OK, f"{handle.provider}, {handle.environment}", account=name)
    yield from checks.account_at_risk(
        name, settings, handle.capabilities, in_file if isinstance(in_file, Mapping) else {}
    )
    core = gateway._core
    on_keys = list(key_checks.ring_checked(core.account(name), kept, core.settings.keys, core.now()))
    yield from on_keys
    if not any(finding.level is Level.PROBLEM for finding in on_keys):  # the read would say the same again
        yield from checks.authenticated_read(gateway, name)
    yield checks.headroom(handle)


_COLUMNS: list[Column[Finding]] = [
    Column("level", lambda finding: finding.level, coloured=True),
    Column("account", lambda finding: finding.account),
    Column("check", lambda finding: finding.check),
    Column("found", lambda finding: finding.found),
    Column("what to do", lambda finding: finding.todo),
]
