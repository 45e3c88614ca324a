"""Writes docs/providers/ from the capability tables of the built-in providers; with --check it only compares."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

from gateway.capabilities import OPERATIONS, Capability, Grade, Support
from gateway.contracts import Provider
from gateway.models import Settlement
from gateway.plugins import load_plugins

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "providers"
NOTE = "Written by `.ci/generate_providers.py` from the capability tables; do not edit."

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


def built_in() -> dict[str, Provider]:
    """The providers of this distribution, by name."""
    plugins = load_plugins()
    return {
        name: plugins.providers[name]
        for name, origin in sorted(plugins.origins.items())
        if origin.distribution == "crypto-gateway"
    }


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def call(row: Capability) -> str:
    return f"{row.operation}:{row.variant}" if row.variant else row.operation


def notes(row: Capability) -> str:
    """Why, and what to do where it is not offered, as two sentences."""
    parts = [row.reason, f"instead: {row.instead}" if row.instead else ""]
    return cell("; ".join(part for part in parts if part))


def table(rows: list[Capability]) -> list[str]:
    lines = ["| operation | what it is | grade | source | notes |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        what = OPERATIONS[row.operation].summary
        lines.append(f"| `{call(row)}` | {what} | {row.grade.value} | {cell(row.source)} | {notes(row)} |")
    return lines


def provider_page(provider: Provider) -> str:
    package = importlib.import_module(load_plugins().origins[provider.name].module)
    _, *about = inspect.cleandoc(package.__doc__ or "").split("\n\n")
    lines = [f"# {provider.title}", "", NOTE, ""]
    for paragraph in about:
        lines += [" ".join(paragraph.split()), ""]
    lines += ["| | |", "| --- | --- |", f'| in the configuration | `provider = "{provider.name}"` |']
    if provider.documentation:
        lines.append(f"| the vendor's documentation | <{provider.documentation}> |")
    lines.append(f"| whose money an order becomes | {SETTLES[provider.settles_to]} |")
    if provider.rate_limit is None:
        lines.append("| calls allowed | the adapter knows of no limit |")
    else:
        limit = provider.rate_limit
        lines.append(f"| calls allowed | {limit.requests} in any {limit.seconds} seconds, for one key |")
    lines += [
        f"| settings | [`{provider.name}`](../settings.md#accounts-with-provider-{provider.name}) |",
        "",
        "An account's settings can change rows: `gateway capabilities --account NAME` shows an account's own",
        "table. What",
        "the grades mean is on the [overview](index.md).",
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
        "documentation, from code that it publishes, and from independent public clients. Each row of its",
        "table carries a",
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
