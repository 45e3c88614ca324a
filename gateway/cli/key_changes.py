"""`gateway keys`: what changes an account's ring, and reading a key back out."""

from __future__ import annotations

import sys
from shlex import quote
from typing import Annotated

import typer

from gateway.api import AccountHandle, Gateway
from gateway.capabilities import Support
from gateway.cli.key_guides import guide_text, network_words, numbered, steps_text
from gateway.cli.key_options import (
    Addresses,
    Created,
    Expires,
    Kind,
    Label,
    NewLabel,
    NoCheck,
    Permissions,
    Pool,
    entered_parts,
    moment,
    new_key,
)
from gateway.cli.output import Column, data_of, named, shown
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    Deadline,
    Session,
    Yes,
    chosen,
    example,
    misuse,
    only_account,
    session,
)
from gateway.cli.unseen import line_typed
from gateway.contracts import KeyKind
from gateway.errors import GatewayError, InvalidRequest, PermissionDenied, UnsupportedOperation, UnverifiedOperation
from gateway.models.keys import ApiKey, KeyAction, KeyGuide, KeyState, NewKey, Rotation
from gateway.plugins import load_plugins

__all__ = ["ONE", "add", "get_ready", "kind_of", "not_in_use", "rotated_text", "seen", "title_of"]


def add(app: typer.Typer) -> None:
    account = "--account treasury"
    app.command("add", epilog=example(f"gateway keys add Payout1 {account} --permission withdraw --ip 203.0.113.7"))(
        add_key
    )
    app.command("edit", epilog=example(f"gateway keys edit Payout1 {account} --ip 203.0.113.0/24"))(edit)
    app.command("rotate", epilog=example(f"gateway keys rotate Payout1 Payout2 {account}"))(rotate)
    app.command("retire", epilog=example(f"gateway keys retire Payout1 {account}"))(retire)
    app.command("activate", epilog=example(f"gateway keys activate Payout1 {account}"))(activate)
    app.command("revoke", epilog=example(f"gateway keys revoke Payout1 {account}"))(revoke)
    app.command("delete", epilog=example(f"gateway keys delete Payout1 {account}"))(delete)
    app.command("delete-all", epilog=example(f"gateway keys delete-all {account}"))(delete_all)
    app.command("reveal", epilog=example(f"gateway keys reveal Payout1 {account} --reason 'moving the vault'"))(reveal)


def add_key(
    context: typer.Context,
    label: NewLabel,
    account: AccountName = None,
    permission: Permissions = None,
    ip: Addresses = None,
    kind: Kind = None,
    pool: Pool = None,
    created: Created = None,
    expires: Expires = None,
    no_check: NoCheck = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep a key that a person made at the provider, once a read with it has succeeded.

    Asks for the key's parts, the secret ones without showing them. Where standard input is no terminal, each part is a
    line of it, in the order in which `gateway keys guide create` names them (Emirex: public key, private secret key).

    Without --permission it may do all that the provider knows, and without --ip it works from anywhere.
    """
    here = session(context, config, as_json)
    new = new_key(label, kind=kind, permissions=permission, networks=ip, pool=pool, created=created, expires=expires)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        get_ready(gateway, new, name, check=not no_check, made=True)  # before a secret is asked for
        parts = entered_parts(kind_of(gateway.account(name), kind))
        key = gateway.keys.add(
            new.model_copy(update={"parts": parts}), account=name, check=not no_check, deadline=deadline
        )
        here.done(f"the key {label} was kept", seen(name, label))
        idle = not_in_use(gateway.account(name))
    here.output.one(key, ONE, data_of)
    if idle and not here.as_json:
        here.output.text(f"\n{idle}")


def edit(
    context: typer.Context,
    label: Label,
    account: AccountName = None,
    permission: Permissions = None,
    ip: Addresses = None,
    any_ip: Annotated[bool, typer.Option("--any-ip", help="It works from anywhere from now on.")] = False,
    pool: Pool = None,
    expires: Expires = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="It does not expire, as far as is known.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="It was changed at the provider: do not ask.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Record what a person changed about a key at the provider; what is not named stays as it is.

    Shows the provider's own steps first and asks whether they were done, unless --yes. Sends nothing.
    """
    here = session(context, config, as_json)
    if ip and any_ip:
        misuse("--ip and --any-ip exclude each other")
    if expires and no_expiry:
        misuse("--expires and --no-expiry exclude each other")
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        if permission or ip or any_ip:
            key = gateway.keys.get(label, account=name)
            steps = gateway.keys.guide(
                KeyAction.EDIT,
                account=name,
                label=label,
                kind=key.kind,
                permissions=permission or key.permissions,
                networks="any" if any_ip else ip or key.networks,
                pool=key.pool,
            )
            _ask_whether_done(here, steps, "Was the key changed like this at the provider?", yes=yes)
        key = gateway.keys.edit(
            label,
            account=name,
            permissions=permission or None,
            networks="any" if any_ip else ip or None,
            pool=pool,
            expires_at="never" if no_expiry else moment(expires, "--expires"),
        )
        here.done(f"the key {label} was changed", seen(name, label))
    here.output.one(key, ONE, data_of)


def rotate(
    context: typer.Context,
    label: Label,
    new_label: NewLabel,
    account: AccountName = None,
    permission: Permissions = None,
    ip: Addresses = None,
    kind: Kind = None,
    pool: Pool = None,
    created: Created = None,
    expires: Expires = None,
    no_check: NoCheck = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep a new key in the place of another: new work goes to it, and the old one only ends what is under way.

    What is not said of the new key is as it was with the old one. Its parts are entered as with `gateway keys add`.
    Tells how the old key is ended at the provider, once nothing uses it any more.
    """
    here = session(context, config, as_json)
    new = new_key(
        new_label, kind=kind, permissions=permission, networks=ip, pool=pool, created=created, expires=expires
    )
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        get_ready(gateway, new, name, replaces=label, check=not no_check, made=True)
        handle = gateway.account(name)
        parts = entered_parts(kind_of(handle, kind or gateway.keys.get(label, account=name).kind))
        rotation = gateway.keys.rotate(
            label, new.model_copy(update={"parts": parts}), account=name, check=not no_check, deadline=deadline
        )
        here.done(f"the key {new_label} was kept, and {label} is retiring", seen(name, new_label))
    if here.as_json:
        here.output.document(data_of(rotation))
        return
    here.output.one(rotation.new, ONE, data_of)
    here.output.text(f"\n{rotated_text(rotation)}")


def retire(
    context: typer.Context,
    label: Label,
    account: AccountName = None,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a key no new work; what is under way ends with it. Asks first, unless --yes.

    It stays valid at the provider until it is ended there: `gateway keys revoke` is the next step, and
    `gateway keys activate` the way back.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        key = gateway.keys.get(label, account=name)
        others = [one.label for one in gateway.keys.list(account=name) if one.label != label and one.state == "active"]
        left = f"left are {', '.join(others)}" if others else "no other active key is left"
        here.confirm(f"Give the key {key.label} of {_whose(gateway, key)} no new work ({left})?", yes=yes)
        key = gateway.keys.retire(label, account=name)
        here.done(f"the key {label} is retiring", seen(name, label))
    here.output.one(key, ONE, data_of)


def activate(
    context: typer.Context,
    label: Label,
    account: AccountName = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give new work to a key that is retiring again: the wrong one was retired, or its successor does not work."""
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        key = gateway.keys.activate(label, account=name)
        here.done(f"the key {label} is active", seen(name, label))
    here.output.one(key, ONE, data_of)


def revoke(
    context: typer.Context,
    label: Label,
    account: AccountName = None,
    ended: Annotated[bool, typer.Option("--ended", help="A person has ended it at the provider: do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Though calls may be under way with it: for a key that has leaked.")
    ] = False,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End a key that is retired and erase its secret, for good.

    Where the provider ends keys by hand only, shows its own steps and asks whether they were done; where nobody can be
    asked, --ended says so. Where a call ends keys, asks first, unless --yes.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        key = gateway.keys.get(label, account=name)
        by_call = _ends_by_call(gateway, key)
        if by_call:
            here.confirm(f"End the key {label} of {_whose(gateway, key)}, and erase its secret?", yes=yes)
        try:
            key = gateway.keys.revoke(label, account=name, ended=ended, force=force, deadline=deadline)
        except UnsupportedOperation as error:
            # All else is right: only a person can say whether the key was ended.
            if by_call or ended or not here.can_ask():
                raise
            _ask_whether_ended(here, gateway, key, error)
            key = gateway.keys.revoke(label, account=name, ended=True, force=force, deadline=deadline)
        here.done(f"the key {label} is revoked", seen(name, label))
    here.output.one(key, ONE, data_of)


def delete(
    context: typer.Context,
    label: Label,
    account: AccountName = None,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Forget a key that is revoked or expired, so that its label is free again. The audit keeps what was done.

    The secret of an expired key is still there, and is erased with it: asks first, unless --yes. An expiry that was
    recorded wrongly is corrected with `gateway keys edit`.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        key = gateway.keys.get(label, account=name)
        if key.state is KeyState.EXPIRED:
            # Otherwise a wrong date would have cost the only copy of a secret that the provider shows once.
            when = f"{key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at is not None else "an unknown time"
            here.confirm(
                f"Forget the key {label} of {name}, which expired at {when}, and erase its secret for good? "
                "(`gateway keys edit` corrects a wrong expiry.)",
                yes=yes,
            )
        gateway.keys.delete(label, account=name, deadline=deadline)
        here.done(
            f"the key {label} was forgotten", f"gateway keys audit --account {quote(name)} --label {quote(label)}"
        )
        result = {"account": name, "label": label, "deleted": True}
    here.output.one(result, named(result), dict)


def delete_all(
    context: typer.Context,
    account: AccountName = None,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="The account's name, where nobody can be asked to type it."),
    ] = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Forget every key of an account's ring and erase their secrets, whatever their state. The account's name has to be
    typed.

    At the provider nothing is done: `gateway keys guide delete-all` tells how keys are ended there.
    """
    here = session(context, config, as_json)
    if account is None:
        misuse("of which account?", hint="--account NAME; this is never the only one there is")
    with here.gateway() as gateway:
        typed = confirm if confirm is not None else _typed_name(here, gateway, account)
        gone = gateway.keys.delete_all(account=account, confirm=typed, deadline=deadline)
        here.done(f"the keys of {account} were forgotten", f"gateway keys audit --account {quote(account)}")
    here.output.rows(gone, _GONE, data_of)


def reveal(
    context: typer.Context,
    label: Label,
    account: AccountName = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is kept in the audit.")] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read a key back out of the vault: its parts, secrets too, to standard output and nowhere else.

    Asks first, unless --yes. It is in the audit before anything is shown.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        here.confirm(f"Show the secrets of the key {label} of {chosen(gateway, name)}? It is noted.", yes=yes)
        parts = gateway.keys.reveal(label, account=name, reason=reason)
        result = {part: text.reveal() for part, text in parts.items()}
    here.output.one(result, named(result), lambda parts: {"account": name, "label": label, "parts": parts})


def get_ready(
    gateway: Gateway, new: NewKey, account: str, *, replaces: str | None = None, check: bool, made: bool = False
) -> None:
    """What would stop the key from being kept is told before it is made or entered, with the way round a read that
    cannot be made from here. Of a key that is `made`, the vault may have the secret already.
    """
    try:
        gateway.keys.ready(new, account=account, replaces=replaces, check=check, made=made)
    except (PermissionDenied, UnsupportedOperation, UnverifiedOperation) as error:
        if check:
            without = "--no-check keeps the key without having read with it"
            error.hint = f"{error.hint}; or {without}" if error.hint else without
        raise


# What is told


def seen(account: str, label: str) -> str:
    """The command that shows the key."""
    return f"gateway keys show {quote(label)} --account {quote(account)}"


def title_of(provider: str) -> str:
    return load_plugins().provider(provider).title


def kind_of(handle: AccountHandle, name: str | None) -> KeyKind:
    """The kind of this name, or the only one that a person makes. Raises InvalidRequest."""
    rules = handle.key_rules
    found = [
        kind for kind in rules.kinds if (kind.name == name if name else not kind.for_callbacks and not kind.issues)
    ]
    if len(found) != 1:
        raise InvalidRequest(
            "which kind of key is it?",
            account=handle.name,
            hint="--kind " + ", ".join(kind.name for kind in rules.kinds),
        )
    return found[0]


def not_in_use(handle: AccountHandle) -> str:
    """That the ring's keys are not used yet, and what makes them; empty when they are."""
    if handle.has_ring:
        return ""
    return (
        f"The account {handle.name} works with the key of its settings. Those of its ring are kept, and will be used "
        f'once accounts.{handle.name} says auth = {{ kind = "ring" }}.'
    )


def rotated_text(rotation: Rotation) -> str:
    """What comes after a rotation."""
    old, account = rotation.old.label, rotation.old.account
    lines = [f"The key {old} is retiring: it gets no new work. End it at the provider once nothing uses it any more."]
    if rotation.guide.steps:
        lines.append(steps_text(numbered(rotation.guide.steps), {}))
    else:
        lines.append("How it is ended at the provider is not known: look at the provider's own pages.")
    lines.append(f"Then `gateway keys revoke {quote(old)} --account {quote(account)}` erases its secret.")
    return "\n".join(lines)


# What is asked


def _whose(gateway: Gateway, key: ApiKey) -> str:
    """The account as it is chosen; the key's own where the settings have none of its name any more."""
    if key.account in gateway.accounts:
        return chosen(gateway, key.account)
    return f"{key.account} ({key.provider}, {key.environment}; not in the settings)"


def _ends_by_call(gateway: Gateway, key: ApiKey) -> bool:
    """Whether revoking it sends a call: never for a key that the account cannot use as it is now."""
    if key.account not in gateway.accounts:
        return False
    handle = gateway.account(key.account)
    own = (key.provider, key.environment) == (handle.provider, handle.environment)
    return own and handle.capabilities.get("keys.revoke").support is Support.SUPPORTED


def _ask_whether_done(here: Session, guide: KeyGuide, question: str, *, yes: bool) -> None:
    if not yes and here.can_ask():
        _tell(guide_text(guide, title_of(guide.provider)))
    here.confirm(question, yes=yes)


def _ask_whether_ended(here: Session, gateway: Gateway, key: ApiKey, unknown: UnsupportedOperation) -> None:
    question = "Has the key been ended at the provider?"
    try:
        steps = gateway.keys.guide(KeyAction.REVOKE, account=key.account, label=key.label, kind=key.kind, pool=key.pool)
    except UnsupportedOperation:
        _tell(unknown.message)
        here.confirm(question, yes=False)
    else:
        _ask_whether_done(here, steps, question, yes=False)


def _typed_name(here: Session, gateway: Gateway, account: str) -> str:
    if not here.can_ask():
        misuse("this is confirmed by the account's name, and nobody can be asked here", hint="--confirm NAME")
    keys = [key for key in gateway.keys.list(account=account) if key.origin != "configured"]  # raises for no account
    whose = _whose(gateway, keys[0]) if keys else account
    _tell(
        f"Forget these keys of {whose} and erase their secrets: {', '.join(key.label for key in keys) or 'none'}.\n"
        f"They stay valid at the provider: `gateway keys guide delete-all --account {quote(account)}`."
    )
    sys.stderr.write("To go on, type the account's name: ")
    sys.stderr.flush()
    typed = line_typed().strip()
    if not typed:
        raise GatewayError("not confirmed: nothing was done")
    return typed


def _tell(text: str) -> None:
    """Lines for the person who is asked."""
    sys.stderr.write("\n".join(map(shown, text.split("\n"))) + "\n")
    sys.stderr.flush()


ONE: list[Column[ApiKey]] = [
    Column("label", lambda key: key.label),
    Column("account", lambda key: key.account),
    Column("provider", lambda key: key.provider),
    Column("environment", lambda key: key.environment),
    Column("kind", lambda key: key.kind),
    Column("public id", lambda key: key.public_id),
    Column("permissions", lambda key: key.permissions),
    Column("from", lambda key: network_words(key.networks)),
    Column("pool", lambda key: key.pool),
    Column("state", lambda key: key.state, coloured=True),
    Column("origin", lambda key: key.origin),
    Column("created at", lambda key: key.created_at),
    Column("added at", lambda key: key.added_at),
    Column("expires at", lambda key: key.expires_at),
    Column("token expires at", lambda key: key.token_expires_at),
    Column("verified at", lambda key: key.verified_at),
    Column("refused at", lambda key: key.refused_at),
    Column("retired at", lambda key: key.retired_at),
    Column("revoked at", lambda key: key.revoked_at),
]
_GONE: list[Column[ApiKey]] = [
    Column("label", lambda key: key.label),
    Column("state", lambda key: key.state, coloured=True),
    Column("public id", lambda key: key.public_id),
]
