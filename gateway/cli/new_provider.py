"""`gateway new-provider`: a distribution of its own for a provider's adapter, complete and passing its tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import named
from gateway.cli.session import AsJson, ConfigFile, example, session
from gateway.errors import Conflict, GatewayError, InvalidRequest
from gateway.plugins import Plugins, load_plugins
from gateway.scaffold import MARKER, NewProvider, Part, Scheme, left_to_fill_in, render

__all__ = ["add"]

_RUN = ".ci/run"


def add(app: typer.Typer) -> None:
    app.command("new-provider", epilog=example("gateway new-provider acme --auth hmac --with wallets,payouts"))(
        new_provider
    )


def new_provider(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the configuration will call it: acme.")],
    auth: Annotated[Scheme, typer.Option("--auth", help="How its requests are authenticated.")] = Scheme.BEARER,
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="PARTS", help="What it has beside orders: wallets, payouts, or both with a comma."
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", metavar="DIR", help="Where to write it, a new or empty folder [gateway-NAME]."),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TITLE", help="How the provider writes its name [Name].")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the distribution of a new provider's adapter: code, sandbox, tests on the conformance kit, README.

    It can be installed and passes its tests as it is, against a sandbox of its own with a made-up API. What has to
    become the provider's own is marked with FILL IN; its tests list what is left. Nothing is overwritten.
    """
    here = session(context, config, as_json)
    provider = NewProvider(name, auth, title or "", _parts(parts or []))
    _is_free(provider, load_plugins())
    folder = directory or Path(provider.distribution)
    made = render(provider)
    _write(folder, made)
    left = left_to_fill_in(made)
    here.done(f"{folder} was written", None)
    if here.as_json:
        here.output.document(
            {"directory": str(folder), "distribution": provider.distribution, "files": list(made), "fill_in": left}
        )
        return
    told = {
        "written": f"{len(made)} files in {folder}",
        "left to fill in": f"{len(left)} places: grep -rn '{MARKER}' {folder}",
        "next": f"cd {folder}, read README.md, and in an environment of its own: {_RUN}",
    }
    here.output.one(told, named(told), dict)


def _parts(given: list[str]) -> frozenset[Part]:
    """The parts that are named, each `--with` one or several. Raises InvalidRequest for one that there is not."""
    names = [name.strip() for names in given for name in names.split(",")]
    for name in names:
        if name not in set(Part):
            raise InvalidRequest(f"there is no part called {name[:40]!r}", hint=f"--with takes {', '.join(Part)}")
    return frozenset(map(Part, names))


def _is_free(provider: NewProvider, plugins: Plugins) -> None:
    """Raises Conflict when the provider's name, or the plugin's, is that of an installed one."""
    called = (plugin for plugin in plugins.loaded if plugin.name == provider.name)
    installed = (plugin for plugin in called if plugin.name not in plugins.missing)
    claiming = [*plugins.claims.get(provider.name, ()), *installed]
    taken = plugins.origins.get(provider.name) or next(iter(claiming), None)
    if taken is not None:
        raise Conflict(
            f"the name {provider.name!r} is taken by {taken.distribution} {taken.version}, which is installed here",
            hint="choose another one: of two plugins with one name neither is loaded",
        )


def _write(folder: Path, made: Mapping[str, str]) -> None:
    """Write all files, or none: a folder with something in it is left alone. Raises Conflict, GatewayError."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Conflict(
                f"{folder} is there already, and not empty: nothing was written", hint="name a new --directory"
            )
        for path, text in made.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as written:
                written.write(text)
            if path == _RUN and os.name == "posix":
                file.chmod(file.stat().st_mode | 0o111)
    except OSError as error:
        raise GatewayError(f"{folder} cannot be written: {error.strerror}", hint="name another --directory") from None
