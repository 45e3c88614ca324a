"""`gateway vault`: making the vault, changing what opens it, and looking whether everything in it opens.

What puts a single secret in or takes it out is in `vault_secrets`.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import vault_secrets
from gateway.cli.output import named
from gateway.cli.session import AsJson, ConfigFile, Yes, example, misuse, session
from gateway.cli.vault_access import configured, entered, noted, storage_of
from gateway.config import VaultSettings, read_settings, vault_settings
from gateway.errors import ConfigurationError, Outcome, VaultError

if TYPE_CHECKING:
    from gateway.keyring import MasterKey

__all__ = ["add"]

app = typer.Typer(help="The vault that keys and other secrets are kept in.", no_args_is_help=True)


def add(root: typer.Typer) -> None:
    root.add_typer(app, name="vault")


@app.command("init", epilog=example("gateway vault init", "gateway vault init --generate-key gateway.key"))
def init(
    context: typer.Context,
    generate_key: Annotated[
        Path | None,
        typer.Option("--generate-key", metavar="FILE", help="Write a new random key into this new file, for key_file."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the vault that the configuration describes, empty. One that is there is never overwritten.

    What opens it is the [vault] table's key, key_file, passphrase or external, else the environment variable
    GATEWAY_VAULT_KEY. Keep a copy of that somewhere else: without it nobody opens the vault again.
    """
    from gateway.keyring import RawKey, Vault
    from gateway.keyring.opening import master_key

    here = session(context, config, as_json)
    data = read_settings(here.file())
    configure = None
    if generate_key is not None:
        configure = _for_generated_key(vault_settings(data), generate_key)
        data = read_settings(here.file(), vault={"key_file": str(generate_key.absolute())})
    settings = configured(data)
    with storage_of(data, settings, create=True) as storage:
        if generate_key is None:
            vault = Vault.create(storage, master_key(settings))
        else:
            _write_key(generate_key)
            try:
                vault = Vault.create(storage, RawKey.from_file(generate_key))
            except VaultError as error:
                if error.outcome is not Outcome.UNKNOWN:  # else the vault may be there, locked with it
                    generate_key.unlink()
                raise
        here.done(f"the vault {vault.name} was made", "gateway vault check")
        result = {"vault": vault.name, "secrets": 0, "audited": noted(data, "vault made", vault=vault.name)}
        if generate_key is not None:
            result |= {"key_file": str(generate_key.absolute()), "configure": configure}
    here.output.one(result, named(result), dict)


@app.command(
    "rekey", epilog=example("gateway vault rekey --new-key-env NEW_VAULT_KEY", "gateway vault rekey --new-passphrase")
)
def rekey(
    context: typer.Context,
    new_key_env: Annotated[
        str | None, typer.Option("--new-key-env", metavar="NAME", help="The new key is in this environment variable.")
    ] = None,
    new_key_file: Annotated[
        Path | None, typer.Option("--new-key-file", metavar="FILE", help="The new key is in this file.")
    ] = None,
    new_passphrase: Annotated[
        bool,
        typer.Option(
            "--new-passphrase",
            help="Ask for a new passphrase; where nobody can be asked, it is the first line of standard input.",
        ),
    ] = False,
    new_external: Annotated[
        str | None,
        typer.Option(
            "--new-external", metavar="MODULE:ATTRIBUTE", help="A service has the new key; as `external` in [vault]."
        ),
    ] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Seal everything in the vault anew, under another master key. Asks first, unless --yes.

    Tells what has to be changed in the configuration then. Gateways that are running need that too, and a restart:
    until then they cannot read the vault. Whenever it is interrupted, the vault opens with one of the two keys, the
    old or the new one. What a copy of the old vault holds can still be read with the old key.
    """
    from gateway.keyring import Vault
    from gateway.keyring.opening import master_key

    here = session(context, config, as_json)
    if sum((new_key_env is not None, new_key_file is not None, new_passphrase, new_external is not None)) != 1:
        misuse(
            "which key is to be the new one?",
            hint="one of --new-key-env NAME, --new-key-file FILE, --new-passphrase and --new-external MODULE:ATTRIBUTE",
        )
    data = read_settings(here.file())
    settings = configured(data)
    with storage_of(data, settings) as storage:
        vault = Vault(storage, master_key(settings))
        count = vault.check()
        # Before the question, so that nobody is asked about a key that cannot be used.
        new = None if new_passphrase else _new_key(new_key_env, new_key_file, new_external)
        here.confirm(f"Lock the vault {vault.name} (secrets: {count}) with another key?", yes=yes)
        vault.rekey(new or _new_passphrase())
        here.done(f"the vault {vault.name} has its new key", "gateway vault check")
        configure = _after_rekey(settings, new_key_env, new_key_file, new_external)
        audited = noted(data, "vault rekeyed", vault=vault.name, secrets=count)
        result = {"vault": vault.name, "secrets": count, "configure": configure, "audited": audited}
    here.output.one(result, named(result), dict)


@app.command("check", epilog=example("gateway vault check", "gateway vault check --json"))
def check(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Open every secret in the vault, and tell their names; never what they are. Changes nothing.

    Exit status 1, with what is wrong, when the key is another one, or the vault is damaged or was edited.
    """
    from gateway.keyring import Vault
    from gateway.keyring.opening import master_key

    here = session(context, config, as_json)
    data = read_settings(here.file())
    settings = configured(data)
    with storage_of(data, settings) as storage:
        vault = Vault(storage, master_key(settings))
        names = ["/".join(name) for name in sorted(vault.get_many())]
        result = {"vault": vault.name, "secrets": len(names), "names": names}
    here.output.one(result, named(result), dict)


vault_secrets.add(app)


def _for_generated_key(settings: VaultSettings | None, file: Path) -> str | None:
    """What has to be written into the configuration for this key file; None when it is there. Raises
    ConfigurationError when the configuration has another key.
    """
    from gateway.keyring.opening import VARIABLE

    if settings is not None and settings.key_file is not None:
        if Path(settings.key_file).resolve() == file.resolve():
            return None
        raise ConfigurationError(
            f"vault.key_file names {settings.key_file}, not {file}", hint="generate the file that it names"
        )
    other = _configured_key(settings)
    if other is not None or os.environ.get(VARIABLE):
        raise ConfigurationError(
            f"the vault's key is configured already: {other or VARIABLE}", hint="leave out --generate-key, or that key"
        )
    return f'[vault] key_file = "{file.absolute()}"'


def _configured_key(settings: VaultSettings | None) -> str | None:
    names = ("key", "key_file", "passphrase", "external")
    return next((f"vault.{name}" for name in names if getattr(settings, name, None) is not None), None)


def _write_key(file: Path) -> None:
    """A new random key, for this user alone, on the disk before anything is locked with it."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise VaultError(
            f"there is a file {file} already; it was left as it is", hint="to use the key in it, name it as key_file"
        ) from None
    except OSError as error:
        raise VaultError(f"the key file {file} cannot be made: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_hex(32) + "\n")
            opened.flush()
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            file.unlink()
        raise VaultError(f"the key file {file} cannot be written: {error.strerror}") from None


def _new_key(variable: str | None, file: Path | None, service: str | None) -> MasterKey:
    from gateway.keyring import RawKey
    from gateway.keyring.opening import external, key_in_variable

    if variable is not None:
        return key_in_variable(variable)
    if file is not None:
        return RawKey.from_file(file)
    assert service is not None
    return external(service)


def _new_passphrase() -> MasterKey:
    from gateway.keyring import Passphrase

    return Passphrase(entered("New passphrase", twice=True))


def _after_rekey(settings: VaultSettings, variable: str | None, file: Path | None, service: str | None) -> str | None:
    """What the configuration has to say now; None when it says that already."""
    from gateway.keyring.opening import VARIABLE

    old = _configured_key(settings)
    if old is None and variable == VARIABLE:
        return None
    if file is not None and settings.key_file is not None and Path(settings.key_file).resolve() == file.resolve():
        return None
    if variable is not None:
        new = f'key = "env:{variable}"'
    elif file is not None:
        new = f'key_file = "{file.absolute()}"'
    elif service is not None:
        new = f'external = "{service}"'
    else:
        new = 'passphrase = "file:PATH", or "env:NAME", where the new passphrase is'
    return f"[vault] {new}; instead of {old or VARIABLE}"
