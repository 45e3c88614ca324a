"""Writes docs/reference/ from the code: Python names, commands, hooks, errors, events. With --check it only compares.

The pages of Python names list the names alone; what stands in the docstrings is put there when the site is built.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

import gateway
from gateway import errors, hookspecs
from gateway.cli.app import build
from gateway.errors import GatewayError
from gateway.models import EVENT_TYPES
from gateway.plugins import load_plugins

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "reference"
NOTE = "<!-- Written by .ci/generate_reference.py from the code; do not edit. -->"

# One page each: its title, what it is for, and the modules whose `__all__` it shows.
PYTHON: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "gateway": ("gateway", "What a program opens, and the calls on it.", ("gateway.api", "gateway.aio")),
    "models": ("Models", "What a program sends and what it gets back.", ("gateway.models",)),
    "money": (
        "Money, assets and secrets",
        "The words that everything else is written in.",
        ("gateway.money", "gateway.assets", "gateway.secrets"),
    ),
    "payments": (
        "Invoices, addresses and payment links",
        "Checks of what is paid to, without a network.",
        ("gateway.lightning", "gateway.addresses", "gateway.uris"),
    ),
    "application": (
        "In your application",
        "Taking callbacks, and watching what the gateway does.",
        ("gateway.callbacks", "gateway.observation", "gateway.telemetry"),
    ),
    "keyring": (
        "Master keys",
        "What opens a vault, where a program says so by itself.",
        ("gateway.keyring",),
    ),
    "testing": (
        "Testing",
        "Sandboxes for a shop's tests and for an adapter's.",
        ("gateway.testing", "gateway.testing.faults", "gateway.testing.lightning"),
    ),
    "conformance": (
        "Conformance kit (API)",
        "What examines an adapter, and what it has to be told.",
        ("gateway.testing.conformance",),
    ),
    "contracts": ("Contracts", "What an adapter implements.", ("gateway.contracts",)),
    "exchange": (
        "Requests and capabilities",
        "What passes between an adapter and the engine, and the table of what a provider can do.",
        ("gateway.exchange", "gateway.capabilities", "gateway.hookspecs"),
    ),
}

# Of these modules only some names are for everybody: the others are between the modules of the house.
ONLY = {"gateway.keyring": ["MasterKey", "RawKey", "Passphrase", "ExternalKey"]}

# Of these the pages can be read, and do not come up in the search of the site: they would crowd out what is looked for.
NOT_SEARCHED = ("conformance", "testing")
# An adapter's classes are made from these bases; elsewhere the bases are the house's own.
WITH_BASES = ("gateway.contracts",)


def public(module: str) -> list[str]:
    """The names of a module that have a section of their own."""
    found = importlib.import_module(module)
    if module == "gateway.aio":
        return ["AsyncGateway"]
    names = list(ONLY.get(module, found.__all__))
    if module == "gateway.api":
        names.sort(key=lambda name: name != "Gateway")
        # The calls on a gateway are on objects that it holds; their classes are reached through it alone.
        names += [
            name
            for name, value in vars(found).items()
            if inspect.isclass(value) and value.__module__ == module and not name.startswith("_") and name not in names
        ]
    return [name for name in names if not inspect.ismodule(getattr(found, name))]


def sections() -> dict[str, str]:
    """Every name that has a section, as `module.name`, with the page that it is on."""
    return {
        f"{module}.{name}": page for page, about in PYTHON.items() for module in about[2] for name in public(module)
    }


def summary(value: Any) -> str:
    """The first paragraph of its docstring, on one line."""
    text = inspect.cleandoc(value.__doc__ or "") if not isinstance(value, (str, int, dict)) else ""
    return " ".join(text.partition("\n\n")[0].split())


def cell(text: str) -> str:
    """Text for a cell of a table. A `|` in a piece of code stays: there it ends no cell, and `\\|` would be shown."""
    return "".join(
        piece if number % 2 else piece.replace("|", "\\|") for number, piece in enumerate(re.split(r"(`[^`]*`)", text))
    )


def python_page(page: str) -> str:
    title, purpose, modules = PYTHON[page]
    lines = [f"# {title}", "", NOTE, "", purpose]
    if page in NOT_SEARCHED:
        lines = ["---", "search:", "  exclude: true", "---", "", *lines]
    for module in modules:
        if module == "gateway.aio":
            lines += ["", "## The same, awaited"]
        elif len(modules) > 1 and module != "gateway.api":
            lines += ["", f"## `{module}`"]
        for name in public(module):
            lines += ["", f"::: {module}.{name}"]
            if name == "EVENT_TYPES":  # they have a page of their own
                lines += ["    options:", "      show_attribute_values: false"]
            elif module == "gateway.aio":
                lines += ["    options:", "      members: false"]
            elif module in WITH_BASES:
                lines += ["    options:", "      show_bases: true"]
    return "\n".join(lines) + "\n"


def names_page() -> str:
    """Where every name is that `gateway` itself has, and which modules hold the others."""
    lines = ["# Python", "", NOTE, ""]
    lines += [
        "These modules are public, with the names on their pages; [what is stable](../../stability.md) says what that",
        "means. All others are the house's own.",
        "",
        "| page | modules |",
        "| --- | --- |",
    ]
    for page, (title, purpose, modules) in PYTHON.items():
        named = ", ".join(
            f"`{module}`" + (f" (of it {', '.join(f'`{name}`' for name in ONLY[module])})" if module in ONLY else "")
            for module in modules
            if module not in ("gateway.api", "gateway.aio")
        )
        lines.append(f"| [{title}]({page}.md): {purpose[0].lower()}{purpose[1:]} | {named or '`gateway`'} |")
    lines += ["| [Errors](../errors.md) | `gateway.errors` |", "", "## Names of `gateway`", ""]
    lines += ["Every name can be imported from `gateway` itself.", "", "| name | what it is |", "| --- | --- |"]
    pages = sections()
    for name in gateway.__all__:
        if name == "__version__":
            lines.append("| `__version__` | the version of the distribution |")
            continue
        value = getattr(gateway, name)
        home = next(
            (full for full in pages if full.rpartition(".")[2] == name),
            f"gateway.errors.{name}",
        )
        where = f"{pages[home]}.md#{home}" if home in pages else f"../errors.md#{home}"
        lines.append(f"| [`{name}`]({where}) | {cell(summary(value))} |")
    return "\n".join(lines) + "\n"


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command and group by its name, each group before what is in it."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        yield " ".join((*words, name)), command
        if isinstance(command, TyperGroup):
            yield from commands(command, (*words, name))


def paragraphs(text: str | None) -> list[str]:
    parts = inspect.cleandoc(text or "").split("\n\n")
    return [" ".join(part.split()) for part in parts if part.strip()]


def escaped(text: str) -> str:
    """Text of the help in Markdown: what looks like a tag or a placeholder stays as it is."""
    return re.sub(r"<(?=[a-z])", "&lt;", text)


def option(record: tuple[str, str]) -> tuple[str, str]:
    """What is written and what it is. A long choice stands among the words: in its narrow column it would not break."""
    written, told = record[0], escaped(record[1])
    found = re.search(r"<([\w-]+(?:\|[\w-]+){5,})>", written)
    if found is None:
        return written, told
    choice = ", ".join(f"`{each}`" for each in found[1].split("|"))
    return written.replace(found[0], "<one of these>"), f"{told} One of {choice}."


def examples(epilog: str | None) -> list[str]:
    found = (epilog or "").partition("Example:\n")[2]
    return [line.strip() for line in found.splitlines() if line.strip()]


def commands_page() -> str:
    application: Any = get_command(build(load_plugins()))
    lines = ["# Commands", "", NOTE, "", "What follows `gateway`. Every command takes:", ""]
    with application.make_context("gateway", ["doctor"], resilient_parsing=True) as context:
        lines += ["| option | what it is |", "| --- | --- |"]
        for parameter in application.params:
            record = parameter.get_help_record(context)
            if record is not None and ("--config" in parameter.opts or "--json" in parameter.opts):
                lines.append(f"| {cell(f'`{record[0]}`')} | {cell(escaped(record[1]))} |")
    lines += [
        "",
        "Exit status: 0 success, 1 an error in one line, 2 misuse, 130 Ctrl-C. With `--json` the error is the document",
        "on standard output. `gateway --version` prints the version, `gateway --install-completion bash` sets up",
        "completion (also `zsh`, `fish` and `powershell`).",
    ]
    for name, command in commands(application):
        lines += ["", f"{'###' if ' ' in name else '##'} {name}", ""]
        for paragraph in paragraphs(command.help):
            lines += [escaped(paragraph), ""]
        if isinstance(command, TyperGroup):
            lines.pop()
            continue
        with command.make_context(name, [], resilient_parsing=True) as context:
            usage = " ".join(command.collect_usage_pieces(context))
            records = [
                parameter.get_help_record(context)
                for parameter in command.get_params(context)
                if not {"--config", "--json", "--help"} & set(parameter.opts)
            ]
        lines += [f"`gateway {name} {usage}`", ""]
        rows = [f"| {cell(f'`{first}`')} | {cell(second)} |" for first, second in map(option, filter(None, records))]
        if rows:
            lines += ["| option | what it is |", "| --- | --- |", *rows, ""]
        shown = examples(command.epilog)
        lines += ["Examples:" if len(shown) > 1 else "Example:", "", *(f"- `{line}`" for line in shown)]
    return "\n".join(lines) + "\n"


def hooks() -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(hookspecs).items()
        if inspect.isfunction(value) and name.startswith("gateway_")
    }


def hooks_page() -> str:
    lines = ["# Hooks", "", NOTE, ""]
    lines += [
        "A plugin implements any of these. It is a module, named by an entry point of the group `gateway`, with",
        "functions that `gateway.hookspecs.hookimpl` marks. [Write a provider](../write-a-provider.md) shows",
        "one whole.",
    ]
    for name, function in hooks().items():
        signature = str(inspect.signature(function)).replace("'", "")  # annotations are kept as text
        lines += ["", f"## {name}", "", f"`{name}{signature}`", ""]
        for paragraph in paragraphs(function.__doc__):
            lines += [paragraph, ""]
        lines.pop()
    return "\n".join(lines) + "\n"


def tree(kind: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


def errors_page() -> str:
    lines = ["# Errors", "", NOTE, ""]
    lines += [
        "Every call raises these and no others. [Errors and outcomes](../concepts/outcomes.md) says how to act on an",
        "outcome, [failures](../failures.md) what raises them, row by row.",
        "",
        '<div class="listing" markdown>',
        "",
        "| error | kind of | outcome, unless it says otherwise | `retryable`: again with nothing changed |",
        "| --- | --- | --- | --- |",
    ]
    for kind in tree():
        parent = kind.__mro__[1].__name__
        again = "yes" if kind.default_retryable else "no"
        lines.append(
            f"| [`{kind.__name__}`](#gateway.errors.{kind.__name__}) | `{parent}` | `{kind.default_outcome.value}` "
            f"| {again} |"
        )
    lines += [
        "",
        "</div>",
        "",
        "The last two columns are what an error says by default; what counts is `error.outcome` and `error.retryable`.",
        "Where the last one says no, the same call can still be right once something else has changed, such as a key,",
        "a permission or the store: the error's `hint` says what.",
    ]
    shown = [kind.__name__ for kind in tree()]
    shown += [name for name in errors.__all__ if name not in shown]
    for name in shown:
        lines += ["", f"::: gateway.errors.{name}"]
    return "\n".join(lines) + "\n"


def events_page() -> str:
    lines = ["# Types of events", "", NOTE, ""]
    lines += [
        "[Events](../events.md) says how to hear them, and what an event holds.",
        "",
        "| type | meaning |",
        "| --- | --- |",
    ]
    lines += [f"| `{name}` | {cell(meaning)} |" for name, meaning in EVENT_TYPES.items()]
    return "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    pages = {TARGET / "python" / f"{page}.md": python_page(page) for page in PYTHON}
    return {
        TARGET / "python" / "index.md": names_page(),
        **pages,
        TARGET / "commands.md": commands_page(),
        TARGET / "hooks.md": hooks_page(),
        TARGET / "errors.md": errors_page(),
        TARGET / "events.md": events_page(),
    }


def main() -> int:
    made = generated()
    if "--check" in sys.argv[1:]:
        return int(any(not path.exists() or path.read_text(encoding="utf-8") != text for path, text in made.items()))
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
