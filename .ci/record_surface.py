"""Writes tests/docs/public_surface.txt: what docs/stability.md promises beyond names. With --check it only compares.

One line a parameter list, field, attribute or member, in the order of the code. A change of that file is looked at by a
person: what goes or is renamed has to be deprecated first.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parent))

import generate_reference
import generate_settings

from gateway.config import GatewaySettings, Route
from gateway.contracts.settings import AccountSettings, Limits
from gateway.errors import GatewayError
from gateway.plugins import load_plugins

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "tests" / "docs" / "public_surface.txt"
COMMAND = "python .ci/record_surface.py"
NAMES_ALONE = "gateway.testing.conformance"
"""Of the conformance kit the names are promised, and no more."""
NAMESPACES = {"gateway.api": "Gateway", "gateway.aio": "AsyncGateway"}
"""The modules of calls, and the class of each that a program makes itself."""
OURS = ("gateway", "gateway_aurex", "gateway_aurpay", "gateway_emirex")


def public_things() -> Iterator[tuple[str, Any]]:
    """Every public class, function and value once, by the module that the reference lists it under."""
    seen: set[int] = set()
    for module in ["gateway.errors", *(name for about in generate_reference.PYTHON.values() for name in about[2])]:
        for name in namespaces(module) or generate_reference.public(module):
            thing = getattr(importlib.import_module(module), name)
            if not home(thing).startswith(NAMES_ALONE) and id(thing) not in seen:
                seen.add(id(thing))
                yield f"{module}.{name}", thing
    for thing in settings():
        if id(thing) not in seen:
            seen.add(id(thing))
            yield f"{thing.__module__}.{thing.__qualname__}", thing


def namespaces(module: str) -> list[str]:
    """The gateway and what hangs on it; of the asynchronous ones the reference shows only the first."""
    if module not in NAMESPACES:
        return []
    kinds = {name: thing for name, thing in vars(importlib.import_module(module)).items() if inspect.isclass(thing)}
    return [name for name, kind in kinds.items() if home(kind) == module and not name.startswith("_")]


def settings() -> Iterator[type[BaseModel]]:
    """The tables of the configuration: everybody's, then those of the built-in providers."""
    accounts = [load_plugins().provider(name).settings for name in generate_settings.PROVIDERS]
    for model in (GatewaySettings, Route, AccountSettings, Limits, *accounts):
        yield model
        hints = typing.get_type_hints(model, include_extras=True)
        for field in model.model_fields:
            yield from generate_settings.tables(hints[field])


def home(thing: Any) -> str:
    return getattr(thing, "__module__", None) or ""


def ours(thing: Any) -> bool:
    return home(thing).partition(".")[0] in OURS


def surface(path: str, thing: Any) -> Iterator[str]:
    """The lines of one public name."""
    if not inspect.isclass(thing):
        yield path + (signature(thing) if inspect.isfunction(thing) else ": a value")
        return
    bases = ", ".join(base.__name__ for base in thing.__mro__[1:] if ours(base) and not base.__name__.startswith("_"))
    yield f"{path}({bases})"
    inherited = set(members(GatewayError)) if thing is not GatewayError and issubclass(thing, GatewayError) else set()
    for line in dict.fromkeys(line for line in members(thing) if line not in inherited):
        yield f"{path}.{line}"


def members(kind: type) -> Iterator[str]:
    if issubclass(kind, enum.Enum):
        yield from (f"{name} = {member.value!r}" for name, member in kind.__members__.items())
    elif issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            told = "" if field.is_required() else " = " + shown(field.get_default(call_default_factory=False))
            yield f"{name}: {annotation(kind, name)}{told}"
    elif dataclasses.is_dataclass(kind):
        for item in dataclasses.fields(kind):
            if not item.name.startswith("_"):
                optional = item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING
                told = f" = {shown(item.default)}" if optional else ""
                yield f"{item.name}: {annotation(kind, item.name)}{told}"
    else:
        made = not getattr(kind, "_is_protocol", False)
        if made and "__init__" in own(kind) and NAMESPACES.get(home(kind), kind.__name__) == kind.__name__:
            yield "__init__" + signature(own(kind)["__init__"])
        if issubclass(kind, Exception):
            yield from (f"{name} (attribute)" for name in vars(kind("what happened")) if not name.startswith("_"))
    fields: Iterable[str] = getattr(kind, "model_fields", getattr(kind, "__dataclass_fields__", ()))
    for name, value in own(kind).items():
        if name.startswith("_") or name in fields or name in getattr(kind, "__members__", ()):
            continue
        yield name + member(kind, name, value)


def own(kind: type) -> dict[str, Any]:
    """What this class and the project's classes above it define, and what they only annotate."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if ours(base):
            found |= dict.fromkeys(inspect.get_annotations(base))
            found |= {name: value for name, value in vars(base).items() if name not in ("model_config", "model_fields")}
    return found


def member(kind: type, name: str, value: Any) -> str:
    if isinstance(value, (classmethod, staticmethod)):
        return signature(value.__func__)
    if callable(value) and inspect.isfunction(inspect.unwrap(value)):
        return signature(value)
    if isinstance(value, property) and value.fget is not None:
        return f": {returned(value.fget)} (property)"
    told = annotation(kind, name)
    if told.startswith("ClassVar") and name in ("default_outcome", "default_retryable"):
        return f": {told} = {shown(value)}"
    return f": {told}" if told else ": a value"


def returned(function: Any) -> str:
    return words(inspect.signature(function).return_annotation)


def annotation(kind: type, name: str) -> str:
    for base in kind.__mro__:
        found = inspect.get_annotations(base).get(name)
        if found is not None:
            return words(found)
    return ""


def words(note: Any) -> str:
    """An annotation as it is written; without its description, which is prose."""
    if note is inspect.Signature.empty:
        return "?"
    text = " ".join((note if isinstance(note, str) else inspect.formatannotation(note)).split())
    return re.sub(r"(, )?description=(['\"]).*?\2", "", text)


def signature(function: Any) -> str:
    found = inspect.signature(function)
    parts = []
    for parameter in found.parameters.values():
        told = (
            parameter.name if parameter.name in ("self", "cls") else f"{parameter.name}: {words(parameter.annotation)}"
        )
        default = "" if parameter.default is parameter.empty else f" = {shown(parameter.default)}"
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        if parameter.kind is parameter.KEYWORD_ONLY and not any(part.startswith("*") for part in parts):
            parts.append("*")
        parts.append(f"{stars}{told}{default}")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            parts[-1] += " (by position)"
    waited = " (awaited)" if inspect.iscoroutinefunction(function) else ""
    return f"({', '.join(parts)}) -> {words(found.return_annotation)}{waited}"


def shown(default: Any) -> str:
    """A default that is a plain value; of others only that there is one."""
    if isinstance(default, enum.Enum):
        return f"{type(default).__name__}.{default.name}"
    plain = default is None or isinstance(default, (bool, int)) or default == ()
    plain = plain or (isinstance(default, str) and len(default) < 60)
    return repr(default) if plain and not isinstance(default, types.FunctionType) else "…"


def recorded() -> str:
    lines = [f"# Written by `{COMMAND}`; a change is looked at by a person (docs/stability.md)."]
    for path, thing in public_things():
        lines += surface(path, thing)
    return "\n".join(lines) + "\n"


def differences(before: str, now: str) -> list[str]:
    """What is gone, changed or new, a line each, by name."""
    old, new = by_name(before), by_name(now)
    gone = [f"gone or renamed: {old[name]}" for name in old if name not in new]
    changed = [f"changed: {old[name]}\n     now: {new[name]}" for name in old if name in new and old[name] != new[name]]
    return gone + changed + [f"not recorded yet: {new[name]}" for name in new if name not in old]


def by_name(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.split("(")[0].split(":")[0].split(" ")[0]: line for line in lines}


def main() -> int:
    if "--check" in sys.argv[1:]:
        found = differences(TARGET.read_text(encoding="utf-8") if TARGET.exists() else "", recorded())
        sys.stdout.writelines(f"{line}\n" for line in found)
        return int(bool(found))
    TARGET.write_text(recorded(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
