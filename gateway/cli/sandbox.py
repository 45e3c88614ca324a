"""`gateway sandbox`: the providers' sandboxes, served until stopped."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from gateway.cli.completion import provider_names
from gateway.cli.session import AsJson, ConfigFile, example, session
from gateway.errors import ConfigurationError

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    app.command("sandbox", epilog=example("gateway sandbox --port 8080 --provider aurpay > gateway.toml"))(sandbox)


def sandbox(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="Where to listen; loopback only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", metavar="NAME", help="Only this one; repeatable.", autocompletion=provider_names),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Serve sandboxes of the installed providers until Ctrl-C or SIGTERM, and print the settings to paste.

    What is printed is TOML, with everything else in comments. With --json it is one document, printed when the
    sandboxes are ready to be called. Steering them (paying, expiring, faults) is under the control address.
    """
    from gateway.testing import SandboxServer, accounts_toml, installed_sandboxes

    output = session(context, config, as_json).output
    sandboxes = installed_sandboxes(provider or None)
    if not sandboxes:
        raise ConfigurationError(
            "no installed provider has a sandbox", hint="`gateway providers` shows what is installed"
        )
    with _Stopped() as stopped, SandboxServer(sandboxes, host=host, port=port) as server:
        control = f"{server.url}/_control"
        if output.as_json:
            output.document(
                {
                    "url": server.url,
                    "control_url": control,
                    "sandboxes": {name: server.base_url(name) for name in server.names},
                    "settings": {"accounts": server.accounts()},
                }
            )
        else:
            output.text(
                f"# Sandboxes of {', '.join(server.names)}, until Ctrl-C. Steer them at {control}\n"
                "# Nothing here is real: no money, no keys. Paste this into gateway.toml:\n\n"
                + accounts_toml(server.accounts())
            )
        stopped.wait()


class _Stopped:
    """Set by Ctrl-C and SIGTERM, which both end the command as it is meant to end."""

    def __enter__(self) -> threading.Event:
        event = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            event.set()

        self._before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        return event

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
