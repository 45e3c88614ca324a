"""The Typer application: the shared options, the commands, and what every failure becomes.

Exit status: 0 success; 1 a gateway error, told in one line (with `--json` as the document on standard output);
2 misuse; 130 Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from gateway._version import __version__
from gateway.cli import (
    callbacks,
    capabilities,
    cards,
    conformance,
    currencies,
    customers,
    doctor,
    events,
    freeze,
    journal,
    keys,
    markets,
    new_provider,
    orders,
    providers,
    reconcile,
    refunds,
    request,
    sandbox,
    shells,
    store,
    trades,
    transactions,
    vault,
    wallets,
    withdrawals,
    worker,
)
from gateway.cli.output import Output, complain, drop_unwritten, is_full, report
from gateway.cli.plugins import add_plugin_commands
from gateway.cli.session import AsJson, Session, example, misuse
from gateway.errors import GatewayError
from gateway.plugins import Plugins, load_plugins

__all__ = ["build", "run"]

DEMO = "gateway.cli.demo"

# In the order of the help, which shows commands before groups: to see, money in, money out, exchange, running it.
_GROUPS = (
    *(sandbox, doctor, providers, capabilities, conformance, new_provider, keys, vault),
    *(orders, refunds, customers, cards),
    *(wallets, withdrawals, transactions, currencies),
    *(markets, trades),
    *(worker, callbacks, events, journal, reconcile, freeze, store, request),
)


class _Root(TyperGroup):
    """Turns what a command raises into an exit status, for plugins' commands too."""

    def invoke(self, ctx: Any) -> Any:
        ctx.obj = Session()
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            report(error, as_json=ctx.obj.as_json)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(130) from None
        except OSError as error:
            if not is_full(error):
                raise
            drop_unwritten()
            unshown(error, ctx.obj)
            raise typer.Exit(1) from None


def _root(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", envvar="GATEWAY_CONFIG", help="The configuration [gateway.toml]."),
    ] = None,
    as_json: AsJson = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    install_completion: Annotated[
        shells.Shell | None,
        typer.Option("--install-completion", callback=shells.install, is_eager=True, help="Set up completion."),
    ] = None,
    show_completion: Annotated[
        shells.Shell | None,
        typer.Option("--show-completion", callback=shells.show, is_eager=True, help="Print the completion script."),
    ] = None,
) -> None:
    """Take crypto payments through any of several providers.

    --config and --json are accepted before the command and after it. Exit status: 0 success, 1 an error (with --json it
    is the document on standard output), 2 misuse, 130 Ctrl-C.
    """
    here: Session = context.obj
    here.config, here.as_json = config, as_json
    if version:
        if as_json:
            Output(as_json=True).document({"version": __version__})
        else:
            Output().text(f"crypto-gateway {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        misuse("no command was given", hint="`gateway --help` lists them")


def build(plugins: Plugins) -> typer.Typer:
    """The application, with the commands of these plugins."""
    shells.make_known()
    app = typer.Typer(
        cls=_Root,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,  # its tracebacks show local variables, secrets among them
        no_args_is_help=True,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    _add_demo(app)
    for group in _GROUPS:
        group.add(app)
    add_plugin_commands(app, plugins)
    return app


def _add_demo(app: typer.Typer) -> None:
    try:
        demo = import_module(DEMO)
    except ModuleNotFoundError as error:
        if error.name != DEMO:
            raise
    else:
        app.command("demo", epilog=example("gateway demo --json"))(demo.command)


def unshown(error: OSError, here: Session | None = None) -> None:
    """Say that standard output did not take the result, and what became of the command."""
    message = f"the result could not be written: {error.strerror}"
    if here is not None and here.carried_out is not None:
        message += f"; {here.carried_out}"
    complain(message, here.see if here is not None else None)


def run() -> NoReturn:
    """The command line on `sys.argv`. Raises SystemExit with its exit status."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:  # before anything is done whose result nobody would see
        complain(
            "standard output is closed, so nothing was done", "leave it open; > /dev/null where nothing is to be shown"
        )
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        # A character that the locale cannot show is no reason to lose the result.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        # What a plugin prints while it is loaded is no part of the result, which may be a document.
        with contextlib.redirect_stdout(sys.stderr):
            app = build(load_plugins())
    except GatewayError as error:  # with GATEWAY_STRICT_PLUGINS=1
        report(error, as_json="--json" in sys.argv)
        sys.exit(1)
    try:
        status = app(prog_name="gateway")
    except OSError as error:  # what is shown before any command, such as the help
        if not is_full(error):
            raise
        drop_unwritten()
        unshown(error)
        status = 1
    sys.exit(status)
