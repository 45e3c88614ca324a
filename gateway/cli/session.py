"""What every command works with: the shared options, the gateway, the output, and the question before money moves."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.api import Gateway
from gateway.cli import completion
from gateway.cli.output import Output, complain, shown
from gateway.cli.unseen import line_typed
from gateway.config import GatewaySettings, load_settings
from gateway.errors import ConfigurationError, GatewayError, InvalidRequest
from gateway.plugins import load_plugins

__all__ = [
    "AccountName",
    "AsJson",
    "ConfigFile",
    "CustomerName",
    "Deadline",
    "Limit",
    "Session",
    "Yes",
    "chosen",
    "example",
    "misuse",
    "only_account",
    "session",
]

DEFAULT_FILE = Path("gateway.toml")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration [default: GATEWAY_CONFIG, else gateway.toml].",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
AccountName = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="An account of the configuration.",
        autocompletion=completion.account_names,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
CustomerName = Annotated[
    str,
    typer.Option(
        "--customer",
        metavar="NUMBER",
        help="Your own number of the customer.",
        autocompletion=completion.customers,
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most this many.")]


def _seconds(value: float | None) -> float | None:
    if value is not None and not 0 < value <= 86_400:  # no number at all is refused too
        raise typer.BadParameter("a number of seconds above zero, and at most a day")
    return value


Deadline = Annotated[
    float | None,
    typer.Option(
        "--deadline",
        metavar="SECONDS",
        callback=_seconds,
        help="How long a call may take, waits and repeats included; else the account's timeout.",
    ),
]


@dataclass
class Session:
    """One run of the command line: what its shared options say, wherever on the line they stand."""

    config: Path | None = None
    as_json: bool = False
    carried_out: str | None = None
    see: str | None = None

    @property
    def output(self) -> Output:
        return Output(as_json=self.as_json)

    def file(self) -> Path | None:
        """The configuration file; None when the environment alone configures the gateway."""
        if self.config is not None:
            return self.config
        if DEFAULT_FILE.exists():
            return DEFAULT_FILE
        if any(name.upper().startswith(("GATEWAY_ACCOUNTS", "GATEWAY_STORE")) for name in os.environ):
            return None
        raise ConfigurationError(
            f"there is no configuration: no {DEFAULT_FILE} in this folder, and no GATEWAY_ACCOUNTS in the environment",
            hint="name a file with --config or GATEWAY_CONFIG; `gateway sandbox` prints settings to try",
        )

    def gateway(self) -> Gateway:
        """The configured gateway, to be used in `with`."""
        return Gateway(file=self.file())

    def settings(self) -> GatewaySettings:
        """The configuration without opening its accounts, for what concerns the store alone."""
        load_plugins()  # settings may name their assets
        return load_settings(self.file())

    def done(self, what: str, see: str | None) -> None:
        """Keep that a write was carried out, and the command that shows it, for when its result cannot be shown."""
        self.carried_out, self.see = what, f"`{see}` shows it" if see is not None else None

    def can_ask(self) -> bool:
        """Whether somebody is there who sees a question and can answer it."""
        return interactive()

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask, unless `yes`. Raises GatewayError when the answer is no; where nobody can be asked it is misuse."""
        if yes:
            return
        if not self.can_ask():
            misuse("this needs a confirmation, and nobody can be asked here", hint="add --yes")
        sys.stderr.write(f"{shown(question)} [y/N] ")
        sys.stderr.flush()
        if line_typed().strip().lower() not in ("y", "yes"):
            raise GatewayError("not confirmed: nothing was done")


def session(context: typer.Context, config: Path | None, as_json: bool) -> Session:
    """The session, with what the command's own options add to those before the command."""
    found: Session = context.find_root().obj
    found.config = config or found.config
    found.as_json = as_json or found.as_json
    return found


def interactive() -> bool:
    """Whether a person sees the question (on standard error) and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def only_account(gateway: Gateway, named: str | None) -> str:
    """The account that is named, or the only one there is. Raises InvalidRequest."""
    if named is not None:
        return named
    if len(gateway.accounts) == 1:
        return gateway.accounts[0]
    raise InvalidRequest(
        "an account has to be named", hint="--account with one of: " + (", ".join(gateway.accounts) or "none")
    )


def chosen(gateway: Gateway, named: str | None) -> str:
    """Where a write will go, for a question."""
    name = named or (gateway.accounts[0] if len(gateway.accounts) == 1 else None)
    if name is None:
        return "the first account that the routes allow,"
    handle = gateway.account(name)
    return f"{name} ({handle.provider}, {handle.environment})"


def misuse(message: str, *, hint: str | None = None) -> NoReturn:
    """End with exit status 2."""
    complain(message, hint)
    raise typer.Exit(2)


def example(*lines: str) -> str:
    """The end of a command's help; the leading backspace keeps its lines from being filled."""
    return "\b\n" + "\n".join(["Example:", *(f"  {line}" for line in lines)])
