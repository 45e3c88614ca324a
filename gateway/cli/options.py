"""Options that are written KEY=VALUE or as JSON, and the options that only one provider knows."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, NoReturn

import typer

from gateway.cli.session import misuse
from gateway.plugins import load_plugins

__all__ = ["ProviderOptions", "exact_json", "options_of", "pairs"]

ProviderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--provider-option",
        metavar="PROVIDER.NAME=VALUE",
        help="What only one provider knows, its value JSON or else a text; repeatable.",
    ),
]


def exact_json(text: str) -> Any:
    """Decoded JSON whose numbers are int and Decimal. Raises ValueError, also for NaN and Infinity."""
    return json.loads(text, parse_float=Decimal, parse_constant=_no_number)


def pairs(texts: list[str], option: str, such_as: str) -> dict[str, str]:
    """What an option that is written KEY=VALUE says, each key once."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            misuse(f"{option} is written KEY=VALUE", hint=f"such as {option} {such_as}")
        if key in found:
            misuse(f"{option} states {key} twice")
        found[key] = value
    return found


def options_of(texts: list[str]) -> dict[str, dict[str, Any]]:
    """`provider_options` of a request."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        provider, dot, option = name.partition(".")
        if not (provider and dot and option and equals):
            misuse(
                "--provider-option is written PROVIDER.NAME=VALUE",
                hint="such as --provider-option aurpay.fixed_encrypt_price=true",
            )
        known = sorted(load_plugins().providers)
        if provider not in known:
            misuse(f"--provider-option names no installed provider: {provider}", hint="one of: " + ", ".join(known))
        if option in found.setdefault(provider, {}):
            misuse(f"--provider-option states {name} twice")
        try:
            found[provider][option] = exact_json(value)
        except (ValueError, RecursionError):
            found[provider][option] = value
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
