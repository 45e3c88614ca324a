"""Account settings as TOML, ready to be pasted into a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["accounts_toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def accounts_toml(accounts: Mapping[str, Mapping[str, Any]]) -> str:
    """One `[accounts.NAME]` table each; settings that are None are left out, as TOML has no word for it."""
    tables = []
    for name, settings in accounts.items():
        lines = [f"{_key(key)} = {_value(value)}" for key, value in settings.items() if value is not None]
        tables.append("\n".join([f"[accounts.{_key(name)}]", *lines]) + "\n")
    return "\n".join(tables)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        pairs = [f"{_key(str(key))} = {_value(item)}" for key, item in value.items() if item is not None]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    # JSON's escapes are TOML's, but for U+007F, which JSON leaves as it is.
    return json.dumps(str(value)).replace("\x7f", "\\u007F")
