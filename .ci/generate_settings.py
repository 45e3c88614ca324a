"""Writes docs/settings.md from the models that check the settings; with --check it only compares."""

from __future__ import annotations

import enum
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval, Le, Lt
from pydantic import AfterValidator, BeforeValidator, IPvAnyAddress, IPvAnyNetwork
from pydantic.fields import FieldInfo

from gateway.assets import Asset
from gateway.config import GatewaySettings, Route
from gateway.contracts.settings import AccountSettings, AssetCode, BaseUrl, Duration, Limits, Setting
from gateway.money import Money
from gateway.plugins import load_plugins
from gateway.secrets import Secret

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "settings.md"
PROVIDERS = ("aurex", "aurpay", "emirex")

HEAD = """\
# Settings

<!-- Written by .ci/generate_settings.py from the models that check the settings; do not edit. -->

Settings stand in a TOML file (`gateway.toml`), in environment variables and in the arguments of `Gateway(...)`.
Arguments win over the environment, the environment over the file. A variable is called `GATEWAY_` and the path, with
two underscores for every step down: `GATEWAY_ACCOUNTS__SHOP__LIMITS__FROZEN=true`. Lists and tables are JSON there.

- An unknown name is refused, and so is a value that is not of its type. The message has the path and no value.
- A secret may be written `env:NAME` (an environment variable), `file:PATH` (a file's content), `vault:account/label`
  (what the vault keeps under that name, see `[vault]`) or as it is.
- A time is a text of a whole number and its unit, `"60s"`, `"15m"`, `"12h"` or `"1d"`.
- An amount is a text of a number and the code of a known asset, `"0.05 BTC"`; never a bare number.
- An asset's code is `SYMBOL@network` for a coin on one network (`USDT@tron`), an ISO 4217 code (`USD`), or a bare
  symbol (`USDT`) for a coin whose network is not specified.
- `gateway doctor` reads everything, and says what is missing, wrong or at risk.
"""

VARIABLES = {
    "GATEWAY_CONFIG": "The configuration file, for the command line; `--config` wins. Neither: `gateway.toml` in this "
    "folder, where there is one. In a program the file is named in `Gateway.from_file(...)`.",
    "GATEWAY_VAULT_KEY": "The master key of the vault, where `[vault]` says nothing of what opens it. With it there is "
    "a vault, `[vault]` or not.",
    "GATEWAY_PLUGINS": "The plugins that are loaded, the built-in providers among them: names of entry points of the "
    "group `gateway`, separated by commas. `DISTRIBUTION:NAME` is the one of that distribution, where two have it. "
    "Unset: all that are installed. One that is not installed is told by `gateway providers` and `gateway doctor`.",
    "GATEWAY_STRICT_PLUGINS": "`1`: the first plugin that cannot be loaded ends everything with a `PluginError`. "
    "Otherwise it is left out, and `gateway providers` and `gateway doctor` say why.",
    "_GATEWAY_COMPLETE": "Set by what `gateway --install-completion` writes, for the one call that completes a line. "
    "Do not set it.",
}
"""What is read from the environment and is no setting."""

TYPES: list[tuple[Any, str]] = [
    (BaseUrl, "address, `https://…`"),
    (AssetCode, "asset's code"),
    (Asset, "asset's code"),
    (Money, "amount"),
    (Secret, "text"),
    (Decimal, "percentage as text"),
    (Duration, "time as text"),
    (IPvAnyAddress, "IP address"),
    (IPvAnyNetwork, "network, such as `10.0.0.0/8`"),
    (bool, "true or false"),
    (int, "whole number"),
    (str, "text"),
]

UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def is_secret(hint: Any) -> bool:
    return hint is Secret or any(is_secret(part) for part in typing.get_args(hint) if not isinstance(part, str))


def type_words(hint: Any) -> str:
    for known, words in TYPES:
        if hint == known:
            return words
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    checks = [note for note in arguments[1:] if isinstance(note, AfterValidator)] if origin is Annotated else []
    if checks and len(checks) < len(arguments) - 1:
        # A known type with a further check, which its description tells of.
        kept = tuple(note for note in arguments[1:] if note not in checks)
        return type_words(Annotated[(arguments[0], *kept)])
    if origin is Annotated:
        words = type_words(arguments[0])
        for note in arguments[1:]:
            if isinstance(note, BeforeValidator) and words.startswith("list of: "):
                words = f"{words.removeprefix('list of: ')}, or a list"
            words += bounds(note)
        return words
    if origin in (typing.Union, UnionType):
        return " or ".join(dict.fromkeys(type_words(part) for part in arguments if part is not type(None)))
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin in (tuple, frozenset):
        return f"list of: {type_words(arguments[0])}"
    if origin is dict or (inspect.isclass(hint) and issubclass(hint, Setting)):
        return "table"
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return " or ".join(f'`"{member.value}"`' for member in hint)
    raise TypeError(f"no words for {hint!r}: add them to TYPES")


def bounds(note: Any) -> str:
    notes = note.metadata if isinstance(note, FieldInfo) else [note]
    least = next((item.ge for item in notes if isinstance(item, (Ge, Interval)) and item.ge is not None), None)
    most = next((item.le for item in notes if isinstance(item, (Le, Interval)) and item.le is not None), None)
    below = next((item.lt for item in notes if isinstance(item, (Lt, Interval)) and item.lt is not None), None)
    if least is not None and most is not None:
        return f", {least} to {most}"
    return ", `0%` to below `100%`" if (least, below) == (0, 1) else ""


def default_words(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, (Setting, dict)):
        return "its defaults" if isinstance(value, Setting) else "empty"
    if isinstance(value, (tuple, frozenset)):
        return "empty"
    if isinstance(value, Decimal):
        return f'`"{value * 100}%"`'
    if isinstance(value, timedelta):
        return f'`"{time_words(value)}"`'
    return f"`{str(value).lower()}`" if isinstance(value, (bool, int)) else f'`"{value}"`'


def time_words(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    unit, size = next((unit, size) for unit, size in UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def tables(hint: Any) -> Iterator[type[Setting]]:
    """The settings tables that a setting can be."""
    if inspect.isclass(hint) and issubclass(hint, Setting):
        yield hint
    else:
        for part in typing.get_args(hint):
            yield from tables(part)


def section(model: type[Setting], heading: str, fields: list[str] | None = None) -> Iterator[str]:
    yield from ("", heading, "", inspect.cleandoc(model.__doc__ or ""), "")
    yield from ('<div class="settings" markdown>', "")
    yield from ("| setting | type | default | secret | what it is |", "| --- | --- | --- | --- | --- |")
    hints = typing.get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        if fields is None or name in fields:
            secret = "secret" if is_secret(hints[name]) else ""
            assert field.description, f"{model.__name__}.{name}"
            cells = (f"`{name}`", type_words(hints[name]), default_words(field), secret, field.description)
            assert not any("|" in re.sub(r"`[^`]*`", "", cell) for cell in cells), "a `|` outside of code ends a cell"
            yield "| " + " | ".join(cells) + " |"
    yield from ("", "</div>")


def provider(name: str) -> Iterator[str]:
    """What an account of this provider says besides what all say, and its tables."""
    model = load_plugins().provider(name).settings
    inherited = set(AccountSettings.model_fields) - set(inspect.get_annotations(model))
    own = [key for key in model.model_fields if key not in inherited]
    yield from section(model, f'## Accounts with `provider = "{name}"`', own)
    hints = typing.get_type_hints(model, include_extras=True)
    for key in own:
        for table in tables(hints[key]):
            kinds = typing.get_args(typing.get_type_hints(table).get("kind"))
            told = f', `kind = "{kinds[0]}"`' if kinds else ""
            yield from section(table, f"### {name}: `[accounts.NAME.{key}]`{told}")


def generated() -> str:
    lines = [HEAD.rstrip("\n")]
    lines += section(GatewaySettings, "## The whole")
    lines += section(Route, "## `[[routes]]`")
    for name, hint in typing.get_type_hints(GatewaySettings, include_extras=True).items():
        if name in GatewaySettings.model_fields and name != "routes":
            for table in tables(hint):
                lines += section(table, f"## `[{name}]`")
    lines += section(AccountSettings, "## `[accounts.NAME]`")
    lines += ["", "`NAME` is yours: 1 to 64 letters (A-Z, a-z), digits, `-` and `_`."]
    lines += section(Limits, "## `[accounts.NAME.limits]`")
    for name in PROVIDERS:
        lines += provider(name)
    lines += ["", "## Environment variables that are no settings", "", "| variable | what it is |", "| --- | --- |"]
    lines += [f"| `{name}` | {words} |" for name, words in VARIABLES.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        return int(not TARGET.exists() or TARGET.read_text(encoding="utf-8") != generated())
    TARGET.write_text(generated(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
