"""Writes docs/providers/ from the capability tables of the built-in providers; with --check it only compares."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

from gateway.capabilities import OPERATIONS, Capability, Grade, Support
from gateway.contracts import GuideRequest, KeyKind, KeyRules, Provider
from gateway.models import KeyAction, Settlement
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway_aurex.adapter import DEPOSIT_COINS
from gateway_aurpay.mapping import COINS

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "providers"
NOTE = "<!-- Written by .ci/generate_providers.py from the capability tables; do not edit. -->"

GRADES = {
    Grade.DOCUMENTED: "documented by the vendor",
    Grade.PUBLISHED: "seen in what the vendor publishes beside its documentation",
    Grade.CLIENT: "seen in independent public clients",
    Grade.INFERRED: "inferred; refused until the account lists it in `allow_inferred`",
    Grade.ABSENT: "not there",
}
SETTLES = {
    Settlement.MERCHANT: "An order becomes the merchant's money.",
    Settlement.CUSTOMER: "An order becomes the customer's money, not the merchant's: a route to it has to say "
    '`settles_to = "customer"`.',
}
COINS_OF_ORDERS = {"aurex": tuple(DEPOSIT_COINS), "aurpay": tuple(COINS)}
"""What `pay_with` of an order may be: the adapters' own tables."""


def built_in() -> dict[str, Provider]:
    """The providers of this distribution, by name."""
    plugins = load_plugins()
    return {
        name: plugins.providers[name]
        for name, origin in sorted(plugins.origins.items())
        if origin.distribution == "crypto-gateway"
    }


def cell(text: str) -> str:
    """Text for a cell of a table. A `|` in a piece of code stays: there it ends no cell, and `\\|` would be shown."""
    return "".join(
        piece if number % 2 else piece.replace("|", "\\|") for number, piece in enumerate(re.split(r"(`[^`]*`)", text))
    )


def call(row: Capability) -> str:
    return f"{row.operation}:{row.variant}" if row.variant else row.operation


def notes(row: Capability) -> str:
    """Why, and what to do where it is not offered, as two sentences."""
    parts = [row.reason, f"instead: {row.instead}" if row.instead else ""]
    return cell("; ".join(part for part in parts if part))


def table(rows: list[Capability]) -> list[str]:
    lines = ['<div class="capabilities" markdown>', "", "| operation | what it is | grade | source | notes |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for row in rows:
        what = OPERATIONS[row.operation].summary
        lines.append(f"| `{call(row)}` | {what} | {row.grade.value} | {cell(row.source)} | {notes(row)} |")
    return [*lines, "", "</div>"]


def configure(provider: Provider) -> Iterator[str]:
    """An account of the provider in TOML, for each way to prove who calls."""
    assert provider.keys is not None, provider.name
    yield from ("", "## Configure it", "")
    yield "An account in `gateway.toml`. The secrets are in environment variables here; they can also be in files or in"
    yield "a [vault](../keys.md). What else an account can say is in the"
    yield f"[settings](../settings.md#accounts-with-provider-{provider.name})."
    auth = provider.settings.model_fields["auth"]
    if not auth.is_required():
        yield from ("", f"`auth` can be left out ({auth.description}).")
    for kind in sorted(provider.keys.kinds, key=lambda kind: (kind.for_callbacks, "for testing" in about(kind))):
        yield from credentials(provider, provider.keys, kind)
    yield from ("", '### Several keys: `kind = "ring"`', "")
    yield "Keys that are labelled, rotated and kept in a vault stand in the account's ring instead of here;"
    yield "`gateway keys create --account shop` leads through making one. [Keys](../keys.md) says the rest."


def about(kind: KeyKind) -> str:
    return inspect.cleandoc(kind.credentials.__doc__ or "")


def credentials(provider: Provider, rules: KeyRules, kind: KeyKind) -> Iterator[str]:
    """What one kind of key consists of, where that is shown, and how it is written."""
    # What proves callbacks is no key of requests: it has a table of its own in the account.
    table = kind.name if kind.for_callbacks else "auth"
    model = typing.get_type_hints(provider.settings)[table] if kind.for_callbacks else kind.credentials
    steps = rules.guide(GuideRequest(action=KeyAction.CREATE, kind=kind))
    pages = {part: step.page for step in steps for part in step.shows}
    titles = {part.name: part.title for part in kind.parts}
    parts = [name for name in model.model_fields if name in titles]
    yield from ("", "### To check callbacks" if kind.for_callbacks else f'### `kind = "{kind.name}"`')
    yield from ("", inspect.cleandoc(model.__doc__ or ""), "")
    yield from ("| part | what it is | where it is shown |", "| --- | --- | --- |")
    for name in parts:
        told = model.model_fields[name].description or ""
        yield f"| `{name}` | {cell(told)} | {pages.get(name) or 'you know it'} |"
    yield from ("", "```toml")
    if not kind.for_callbacks:
        yield from ("# gateway.toml", "[accounts.shop]", f'provider = "{provider.name}"', "")
    yield f"[accounts.shop.{table}]"
    if not kind.for_callbacks:
        yield f'kind = "{kind.name}"'
    for name in parts:
        secret = typing.get_type_hints(kind.credentials)[name] is Secret
        # As the other pages call them: AURPAY_TOKEN is the API token.
        short = name.removeprefix("api_") if name != "api_key" else name
        variable = f"{provider.name}_{'callback_' if kind.for_callbacks else ''}{short}"
        yield f'{name} = "{f"env:{variable.upper()}" if secret else f"your {titles[name]}"}"'
    yield "```"


def provider_page(provider: Provider) -> str:
    package = importlib.import_module(load_plugins().origins[provider.name].module)
    _, *about = inspect.cleandoc(package.__doc__ or "").split("\n\n")
    lines = [f"# {provider.title}", "", NOTE, ""]
    for paragraph in about:
        lines += [" ".join(paragraph.split()), ""]
    lines += ["| | |", "| --- | --- |", f'| in the configuration | `provider = "{provider.name}"` |']
    if provider.documentation:
        told = provider.documentation
        lines.append(f"| the vendor's documentation | {f'<{told}>' if told.startswith('https://') else told} |")
    if any(row.operation == "orders.create" and row.support is Support.SUPPORTED for row in provider.capabilities):
        lines.append(f"| whose money an order becomes | {SETTLES[provider.settles_to]} |")
        coins = ", ".join(f"`{coin}`" for coin in COINS_OF_ORDERS[provider.name])
        lines.append(
            f"| coins that an order can be paid in (`pay_with`) | {coins}; on what evidence: `orders.create` below |"
        )
    if provider.rate_limit is None:
        lines.append("| calls allowed | the adapter knows of no limit |")
    else:
        limit = provider.rate_limit
        lines.append(f"| calls allowed | {limit.requests} in any {limit.seconds} seconds, for one key |")
    lines += [
        "",
        "An account's settings can change rows: `gateway capabilities --account NAME` shows an account's own table.",
        "What the grades mean is on the [overview](index.md).",
        *configure(provider),
    ]
    rows = list(provider.capabilities)
    kinds = {
        Support.SUPPORTED: ("What it can do", ""),
        Support.MANUAL: ("What is done by hand", "The provider offers it in its web interface alone."),
        Support.ABSENT: ("What it has not", "A call is refused before anything is sent."),
    }
    for support, (title, about_it) in kinds.items():
        found = [row for row in rows if row.support is support]
        if found:
            lines += ["", f"## {title}", "", *([about_it, ""] if about_it else []), *table(found)]
    return "\n".join(lines) + "\n"


def overview() -> str:
    providers = built_in()
    lines = ["# Providers", "", NOTE, ""]
    lines += [
        "Nobody has run the gateway against a live service. What is said about a provider comes from its own",
        "documentation, from code that it publishes, and from independent public clients. Each row of its table has a",
        "grade, that of the weakest part of the call:",
        "",
        "| grade | evidence |",
        "| --- | --- |",
    ]
    lines += [f"| {grade.value} | {words} |" for grade, words in GRADES.items()]
    lines += [
        "",
        "`gateway capabilities` prints the same tables, and those of plugins. Another provider comes in as a plugin:",
        "[write a provider](../write-a-provider.md).",
        "",
        "## Side by side",
        "",
        "The grade where a call is supported, *by hand* where the provider's web interface alone offers it.",
        "",
        '<div class="listing" markdown>',
        "",
        "| operation | " + " | ".join(f"[{each.title}]({name}.md)" for name, each in providers.items()) + " |",
        "| --- |" + " --- |" * len(providers),
    ]
    tables = [list(each.capabilities) for each in providers.values()]
    for rows in zip(*tables, strict=True):
        shown = [
            row.grade.value if row.support is Support.SUPPORTED else "by hand" if row.support is Support.MANUAL else "–"
            for row in rows
        ]
        lines.append(f"| `{call(rows[0])}` | " + " | ".join(shown) + " |")
    lines += ["", "</div>"]
    return "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    pages = {TARGET / f"{name}.md": provider_page(provider) for name, provider in built_in().items()}
    return {TARGET / "index.md": overview(), **pages}


def main() -> int:
    made = generated()
    if "--check" in sys.argv[1:]:
        return int(any(not path.exists() or path.read_text(encoding="utf-8") != text for path, text in made.items()))
    TARGET.mkdir(exist_ok=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
