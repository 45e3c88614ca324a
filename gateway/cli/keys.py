"""`gateway keys`: the keys of accounts, how a person makes and ends them at the provider, and what was done with them.

What changes a ring is in `key_changes`, the walk through making a key in `key_wizard`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.api import AccountHandle, Gateway
from gateway.cli import completion, key_changes, key_wizard
from gateway.cli.key_guides import guide_text, keeping_text, network_words
from gateway.cli.key_options import Addresses, Kind, Label, Permissions, entered_part
from gateway.cli.output import Column, data_of, named
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    Deadline,
    Limit,
    Session,
    Yes,
    chosen,
    example,
    misuse,
    only_account,
    session,
)
from gateway.models.keys import ApiKey, KeyAction, KeyAudit, KeyState
from gateway.secrets import HIDDEN, Secret

__all__ = ["add"]

app = typer.Typer(help="API keys: make, keep, replace and end them.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="keys")


@app.command("list", epilog=example("gateway keys list", "gateway keys list --account treasury --json"))
def list_(
    context: typer.Context, account: AccountName = None, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """List the keys of one account, or of all: what each may do, from where, and its state; never a secret."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.keys.list(account=account)
    here.output.rows(found, _LIST, data_of)


@app.command("show", epilog=example("gateway keys show Payout1 --account treasury"))
def show(
    context: typer.Context,
    label: Label,
    account: AccountName = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one key, without its secret."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        key = gateway.keys.get(label, account=only_account(gateway, account))
    here.output.one(key, key_changes.ONE, data_of)


@app.command(
    "guide",
    epilog=example(
        "gateway keys guide create --account treasury --label Payout1 --permission withdraw --ip 203.0.113.7",
        "gateway keys guide revoke --account treasury --label Payout1",
    ),
)
def guide(
    context: typer.Context,
    action: Annotated[KeyAction, typer.Argument(help="What is to be done with a key at the provider.")],
    account: AccountName = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="The key's label, which is checked.", autocompletion=completion.key_labels),
    ] = None,
    permission: Permissions = None,
    ip: Addresses = None,
    kind: Kind = None,
    pool: Annotated[str, typer.Option("--pool", metavar="NAME", help="The pool that the key is to be in.")] = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell the provider's own steps for making, changing or ending a key by hand. Does nothing itself.

    `gateway keys create` walks through them and keeps the key; `gateway keys add` keeps one that was made.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        found = gateway.keys.guide(
            action, account=name, label=label, kind=kind, permissions=permission, networks=ip, pool=pool
        )
        chosen_kind = next(one for one in gateway.account(name).key_rules.kinds if one.name == found.kind)
    if here.as_json:
        here.output.document(data_of(found))
    else:
        keeping = keeping_text(found, pool, issues=chosen_kind.issues)
        here.output.text(guide_text(found, key_changes.title_of(found.provider), keeping))


key_wizard.add(app)
key_changes.add(app)


@app.command(
    "verify", epilog=example("gateway keys verify --account shop", "gateway keys verify --account shop --label Read1")
)
def verify(
    context: typer.Context,
    account: AccountName = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            help="This key of the ring; else the one that is chosen for reading.",
            autocompletion=completion.key_labels,
        ),
    ] = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check an account's key with a cheap authenticated read. Exit status 1, with the reason, when it is refused."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        handle = gateway.account(name)
        gateway.keys.verify(account=name, label=label, deadline=deadline)
        result = {**_where(handle, label), "verified": True}
    here.output.one(result, named(result), dict)


@app.command(
    "issue",
    epilog=example(
        "gateway keys issue --account shop --reveal",
        "gateway keys issue --account shop --label main --username shop@example.com",
    ),
)
def issue(
    context: typer.Context,
    account: AccountName = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Keep the key in the account's ring under this label.")
    ] = None,
    username: Annotated[
        str | None,
        typer.Option("--username", help="The user name to obtain it with; the password is asked for and not shown."),
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="With the key itself, which nobody shows again.")] = False,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Obtain a new key by a call, where the provider issues keys. Asks first, unless --yes.

    It is obtained with the account's own login or, with --username, with that one: its password is asked for, and is
    the first line of standard input where nobody can be asked.

    With --label the key is kept in the ring, with what it was obtained with, and renewed in time. Without --label and
    --reveal the key itself is lost: it is kept nowhere here.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        handle = gateway.account(name)
        lost = "" if reveal or label is not None else " It will not be shown without --reveal."
        kept = f", and keep it as {label}" if label is not None else ""
        here.confirm(f"Issue a new key for {chosen(gateway, name)}{kept}?{lost}", yes=yes)
        parts = _login(here, gateway, name, username, ring=label is not None and handle.has_ring)
        key = gateway.keys.issue(account=name, label=label, parts=parts, deadline=deadline)
        if label is None:
            here.done(f"a new key was issued for {name} and is lost with it", None)
        else:
            here.done(f"the key {label} was issued and kept", key_changes.seen(name, label))
        result = {
            **_where(handle, label),
            "key": key.secret.reveal() if reveal else HIDDEN,
            "expires_at": key.expires_at.isoformat() if key.expires_at is not None else None,
        }
    here.output.one(result, named(result), dict)


@app.command("audit", epilog=example("gateway keys audit --account treasury --limit 20"))
def audit(
    context: typer.Context,
    account: AccountName = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Only this key.", autocompletion=completion.key_labels)
    ] = None,
    limit: Limit = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List what was done with keys, the latest first: who, when and what; also with keys that are forgotten."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        found = gateway.keys.audit(account=account, label=label, limit=limit)
    here.output.rows(found, _AUDIT, data_of)


def _where(handle: AccountHandle, label: str | None) -> dict[str, Any]:
    found = {"account": handle.name, "provider": handle.provider, "environment": handle.environment.value}
    return {**found, **({"label": label} if label is not None else {})}


def _login(
    here: Session, gateway: Gateway, name: str, username: str | None, *, ring: bool
) -> dict[str, Secret | str] | None:
    """What a key is obtained with; None: with what the account's settings hold."""
    handle = gateway.account(name)
    if (username is None and not ring) or not handle.can("keys.issue"):
        return None
    kind = next((kind for kind in handle.key_rules.kinds if kind.issues), None)
    if kind is None:
        return None
    public = kind.public_part
    if public is not None and username is None:
        if not here.can_ask():
            misuse("with which user name?", hint="--username NAME; the password is a line of standard input")
        username = entered_part(public).reveal()
    parts: dict[str, Secret | str] = {part.name: entered_part(part, exact=True) for part in kind.secret_parts}
    if public is not None and username is not None:
        parts[public.name] = username
    return parts


def _shown_state(key: ApiKey) -> str:
    return "refused" if key.refused_at is not None and key.state is KeyState.ACTIVE else key.state


_LIST: list[Column[ApiKey]] = [
    Column("label", lambda key: key.label),
    Column("account", lambda key: key.account),
    Column("state", _shown_state, coloured=True),
    Column("permissions", lambda key: key.permissions),
    Column("from", lambda key: network_words(key.networks)),
    Column("pool", lambda key: key.pool),
    Column("origin", lambda key: key.origin),
    Column("expires at", lambda key: key.expires_at),
    Column("token expires at", lambda key: key.token_expires_at),
    Column("verified at", lambda key: key.verified_at),
]
_AUDIT: list[Column[KeyAudit]] = [
    Column("at", lambda entry: entry.at),
    Column("actor", lambda entry: entry.actor),
    Column("action", lambda entry: entry.action),
    Column("account", lambda entry: entry.account),
    Column("label", lambda entry: entry.label),
    Column("detail", lambda entry: {name: value for name, value in entry.detail.items() if value is not None}),
]
