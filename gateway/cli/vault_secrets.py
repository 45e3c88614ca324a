"""`gateway vault`: one secret that is no key of a ring, into the vault and out of it.

Such a secret is what the configuration refers to as `vault:account/label`. The keys of a ring are left to `gateway
keys`, because their rows in the store say what is in the vault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import named
from gateway.cli.session import AsJson, ConfigFile, Yes, example, session
from gateway.cli.vault_access import configured, entered, noted, storage_of
from gateway.config import DEFAULT_STORE, read_settings
from gateway.errors import Conflict, GatewayError, NotFound
from gateway.models.keys import ApiKey, KeyState

if TYPE_CHECKING:
    from gateway.keyring.vault import Name

__all__ = ["add"]

SecretName = Annotated[
    str, typer.Argument(metavar="ACCOUNT/LABEL", help="The secret's name; what stands after vault: in the settings.")
]


def add(app: typer.Typer) -> None:
    app.command(
        "put",
        epilog=example("gateway vault put gateway/callback", "gateway vault put gateway/callback --replace"),
    )(put)
    app.command("forget", epilog=example("gateway vault forget gateway/callback"))(forget)


def put(
    context: typer.Context,
    name: SecretName,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of one that is there. Asks first, unless --yes.")
    ] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep a secret in the vault, for `vault:ACCOUNT/LABEL` in the configuration.

    It is asked for without being shown; where standard input is no terminal, it is its first line. The keys of a ring
    are not kept with this: `gateway keys add` and `gateway keys rotate` do that. Gateways that are running read it
    when they start.
    """
    from gateway.keyring import Vault
    from gateway.keyring.opening import master_key

    here = session(context, config, as_json)
    place = _name(name)
    data = read_settings(here.file())
    settings = configured(data)
    with storage_of(data, settings) as storage:
        vault = Vault(storage, master_key(settings))
        there = place in vault.names()
        _require_no_key(data, place, "`gateway keys rotate {} NEW` puts another key in its place")
        # Before it is asked for, so that nobody enters a secret that is not kept.
        if there and not replace:
            raise Conflict(
                f"the vault {vault.name} has a secret {name} already; it was left as it is", hint="--replace"
            )
        if there:
            here.confirm(f"Replace the secret {name} in the vault {vault.name}, for good?", yes=yes)
        vault.put(*place, entered(f"Secret {name}"), replace=replace)
        here.done(f"the secret {name} is in the vault {vault.name}", "gateway vault check")
        audited = noted(data, "secret replaced" if there else "secret put", secret=place, vault=vault.name)
        result = {
            "vault": vault.name,
            "name": name,
            "replaced": there,
            "configure": f'"vault:{name}"',
            "audited": audited,
        }
    here.output.one(result, named(result), dict)


def forget(
    context: typer.Context,
    name: SecretName,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a secret out of the vault, for good. Asks first, unless --yes.

    The keys of a ring are not taken out with this: `gateway keys revoke` does that.
    """
    from gateway.keyring import Vault
    from gateway.keyring.opening import master_key

    here = session(context, config, as_json)
    place = _name(name)
    data = read_settings(here.file())
    settings = configured(data)
    with storage_of(data, settings) as storage:
        vault = Vault(storage, master_key(settings))
        if place not in vault.names():
            raise NotFound(f"the vault {vault.name} has no secret {name}", hint="`gateway vault check` lists them")
        _require_no_key(data, place, "`gateway keys revoke {}` ends the key and erases its secret")
        used = "; the configuration refers to it" if f"vault:{name}" in _texts(data) else ""
        here.confirm(f"Forget the secret {name} of the vault {vault.name}, for good{used}?", yes=yes)
        vault.remove(*place)
        here.done(f"the secret {name} was forgotten", "gateway vault check")
        audited = noted(data, "secret forgotten", secret=place, vault=vault.name)
        result = {"vault": vault.name, "name": name, "forgotten": True, "audited": audited}
    here.output.one(result, named(result), dict)


def _name(text: str) -> Name:
    """Raises VaultError when it is none."""
    from gateway.keyring.vault import require_name

    account, _, label = text.partition("/")
    require_name((account, label))
    return account, label


def _require_no_key(data: Mapping[str, Any], place: Name, hint: str) -> None:
    """Raises Conflict when a key of a ring has its secret there. Where there is no store there is no ring. In the hint,
    {} is the key.
    """
    key = _key_there(data, place)
    if key is None:
        return
    if key.state is KeyState.REVOKED:
        hint = "the key is revoked: `gateway keys delete {}` forgets it, and what the vault still has of it"
    raise Conflict(
        f"{'/'.join(place)} is where the secret of the key {key.label} of the ring is kept; nothing was changed",
        account=key.account,
        hint=hint.format(f"{key.label} --account {key.account}"),
    )


def _key_there(data: Mapping[str, Any], place: Name) -> ApiKey | None:
    from gateway.accounts import secret_names
    from gateway.store import keys
    from gateway.store.database import Database

    account, _ = place
    now = datetime.now(UTC)
    try:
        with Database.open(str(data.get("store", DEFAULT_STORE)), create=False) as database:
            rows = database.read(lambda connection: keys.listed(connection, account, now))
    except GatewayError:
        return None
    return next((row.key for row in rows if place in secret_names(row).values()), None)


def _texts(data: Any) -> Iterable[str]:
    """Every text in the configuration."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)
