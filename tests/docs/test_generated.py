"""What is generated is fresh, and says all of it: every public name, command, setting, hook, error and event."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import griffe
import pytest
from typer.core import TyperGroup
from typer.main import get_command

import gateway
from docs.blocks import PAGES, ROOT, blocks
from gateway import Gateway, Money, OrderRequest, errors, hookspecs
from gateway.cli.app import build
from gateway.config import GatewaySettings
from gateway.errors import GatewayError
from gateway.models import EVENT_TYPES, OrderStatus
from gateway.plugins import load_plugins

SCRIPTS = sorted((ROOT / ".ci").glob("generate_*.py"))
REFERENCE = ROOT / "docs" / "reference"
SETTINGS = set(GatewaySettings.model_fields)


@cache
def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"generate_{name}", ROOT / ".ci" / f"generate_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["reference", "providers", "diagrams"])
def test_what_is_generated_is_fresh(name: str) -> None:
    made: dict[Path, str] = script(name).generated()
    stale = [
        str(path.relative_to(ROOT)) for path, text in made.items() if not path.exists() or path.read_text() != text
    ]
    assert not stale, "run `make docs`"


@pytest.mark.parametrize("name", ["reference", "providers", "diagrams"])
def test_nothing_else_lies_where_pages_are_generated(name: str) -> None:
    made = set(script(name).generated())
    assert {path for folder in {each.parent for each in made} for path in folder.iterdir() if path.is_file()} == made


def test_make_docs_runs_every_generator_of_a_page() -> None:
    (loop,) = re.findall(r"for page in ([a-z ]+); do", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert set(loop.split()) == {path.stem.removeprefix("generate_") for path in SCRIPTS} - {"aio"}


@pytest.mark.parametrize("name", ["reference", "providers", "diagrams"])
def test_a_generator_says_when_its_pages_are_stale(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = script(name)
    monkeypatch.setattr(made, "TARGET", tmp_path / "pages")
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert made.main() == 1
    monkeypatch.setattr(sys, "argv", ["generate"])
    assert made.main() == 0
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert made.main() == 0
    page = next(iter(made.generated()))
    page.write_text(page.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    assert made.main() == 1


# Completeness: the pages are compared with the code, not with what the generators make of it


def public_modules() -> list[str]:
    return ["gateway.errors", *(module for about in script("reference").PYTHON.values() for module in about[2])]


@cache
def source() -> Any:
    return griffe.load("gateway", search_paths=[str(ROOT)], resolve_aliases=True)


def found(path: str) -> Any:
    """What this path is in the source, followed to where it is written."""
    thing = source()[path.removeprefix("gateway.")]
    return thing.final_target if thing.is_alias else thing


def public_names() -> Iterator[str]:
    for module in public_modules():
        reference = script("reference")
        names = reference.public(module) if module in ("gateway.api", "gateway.aio") else reference.ONLY.get(module)
        for name in names or importlib.import_module(module).__all__:
            yield f"{module}.{name}"


NAMES = list(public_names())


def test_every_public_module_is_in_the_reference() -> None:
    named = set(public_modules())
    assert {"gateway.models", "gateway.contracts", "gateway.testing", "gateway.callbacks", "gateway.hookspecs"} <= named
    for name in gateway.__all__:
        if name != "__version__":
            home = gateway._HOMES[name]
            assert any(home == module or home.startswith(f"{module}.") for module in named), f"{name} of {home}"


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented(name: str) -> None:
    pages = [REFERENCE / "errors.md", *(REFERENCE / "python").glob("*.md")]
    directives = {line for each in pages for line in each.read_text(encoding="utf-8").splitlines()}
    thing = found(name)
    if not thing.is_module:
        assert f"::: {name}" in directives
    if thing.docstring is None:
        # A Protocol of one or two methods is said by them.
        methods = [each for each in thing.members.values() if each.is_function and not each.name.startswith("_")]
        assert methods, "it has no docstring"
        assert all(method.docstring is not None for method in methods), "neither it nor a method has a docstring"
    else:
        assert len(thing.docstring.value) > 8


def public_calls() -> Iterator[str]:
    """The methods and properties of public classes. The kit's own tests are told in the list of what it checks."""
    for name in NAMES:
        module, _, attribute = name.rpartition(".")
        thing = getattr(importlib.import_module(module), attribute, None)
        if not inspect.isclass(thing) or thing.__module__.startswith("gateway.testing.conformance"):
            continue
        for call, value in vars(thing).items():
            if call in getattr(thing, "__dataclass_fields__", ()):
                continue  # a function that is a default
            if not call.startswith("_") and (isinstance(value, property) or inspect.isroutine(value)):
                yield f"{name}.{call}"


@pytest.mark.parametrize("name", list(public_calls()))
def test_a_public_call_is_documented(name: str) -> None:
    thing, call = name.rpartition(".")[::2]
    module, _, attribute = thing.rpartition(".")
    documented = inspect.getdoc(getattr(getattr(importlib.import_module(module), attribute), call))
    assert documented is not None, f"{name} has no docstring"
    assert len(documented) > 4


def test_every_command_is_documented() -> None:
    text = page("reference/commands.md")
    application = get_command(build(load_plugins()))

    def walk(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            yield " ".join((*words, name)), command
            if isinstance(command, TyperGroup):
                yield from walk(command, (*words, name))

    checked = 0
    sections = dict(re.findall(r"(?ms)^#{2,3} ([a-z -]+)\n(.*?)(?=^##|\Z)", text))
    for name, command in walk(application, ()):
        assert name in sections, f"gateway {name}"
        if isinstance(command, TyperGroup):
            continue
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option not in ("--config", "--json", "--help"):
                    assert f"`{option}" in sections[name] or f", {option}" in sections[name], f"gateway {name} {option}"
                    checked += 1
    assert checked > 100


def test_every_setting_is_documented() -> None:
    text = page("settings.md")
    for name in GatewaySettings.model_fields:
        assert f"\n| `{name}` |" in text, name
    for provider in script("providers").built_in():
        assert f'## Accounts with `provider = "{provider}"`' in text


def test_every_environment_variable_is_documented() -> None:
    """A setting's variable is told by the head of the page, every other one has a row."""
    variables = script("settings").VARIABLES
    read = {
        name
        for folder in ("gateway", "providers")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in re.findall(r"\b_?GATEWAY_[A-Z][A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    settings = {name for name in read if name.removeprefix("GATEWAY_").partition("__")[0].lower() in SETTINGS}
    assert read - settings == set(variables)
    assert "GATEWAY_ACCOUNTS__SHOP__LIMITS__FROZEN" in page("settings.md")
    for name in variables:
        assert f"\n| `{name}` | " in page("settings.md"), name


def test_every_hook_is_documented() -> None:
    hooks = {name for name in dir(load_plugins().manager.hook) if name.startswith("gateway_")}
    assert set(re.findall(r"(?m)^## (\w+)$", page("reference/hooks.md"))) == hooks
    for name in hooks:
        assert len(inspect.getdoc(getattr(hookspecs, name)) or "") > 20, f"{name} says nothing of itself"


def test_every_error_is_documented() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert set(re.findall(r"(?m)^\| \[`(\w+)`\]", page("reference/errors.md"))) == classes
    assert classes <= set(errors.__all__)


def test_every_event_is_documented() -> None:
    assert dict(re.findall(r"(?m)^\| `(\w+\.\w+)` \| (.+) \|$", page("reference/events.md"))) == EVENT_TYPES
    assert [name for name, words in EVENT_TYPES.items() if len(words.split()) < 3] == []


def test_every_row_of_every_provider_is_documented() -> None:
    overview = page("providers/index.md")
    for name, provider in script("providers").built_in().items():
        text = page(f"providers/{name}.md")
        for row in provider.capabilities:
            call = f"{row.operation}:{row.variant}" if row.variant else row.operation
            line = next(line for line in text.splitlines() if line.startswith(f"| `{call}` |"))
            assert f"| {row.grade.value} | {row.source.replace('|', chr(92) + '|')} |" in line
            assert f"| `{call}` |" in overview
        assert f"]({name}.md)" in overview


def test_every_kind_of_key_is_configured_on_its_providers_page() -> None:
    for name, provider in script("providers").built_in().items():
        written = [tomllib.loads(block.text) for block in blocks(f"docs/providers/{name}.md")]
        accounts = [account for data in written for account in data["accounts"].values()]
        assert provider.keys is not None
        for kind in provider.keys.kinds:
            shown = {part.name for part in kind.parts}
            if kind.for_callbacks:
                assert any(set(account.get(kind.name, ())) == shown for account in accounts), kind.name
            else:
                assert any(set(account.get("auth", ())) == {"kind", *shown} for account in accounts), kind.name
                assert any(account.get("auth", {}).get("kind") == kind.name for account in accounts), kind.name


@pytest.mark.parametrize(("name", "auth"), [("aurpay", "api-key"), ("aurex", "bearer")])
def test_the_coins_on_a_providers_page_are_those_that_its_adapter_takes(
    name: str, auth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says when it is asked for another coin, before anything is sent."""
    (row,) = re.findall(r"(?m)^\| coins .*?\| (.*?); .*\|$", page(f"providers/{name}.md"))
    monkeypatch.chdir(tmp_path)
    account = {"provider": name, "base_url": "http://127.0.0.1:9", "auth": {"kind": auth, "api_key": "made-up"}}
    request = OrderRequest(
        reference="coins",
        price=Money("25.00", "USD"),
        pay_with="SOL@solana",
        customer="c-1",
        settles_to=load_plugins().provider(name).settles_to,
    )
    with Gateway(accounts={"shop": account}) as gw, pytest.raises(GatewayError) as refused:
        gw.orders.create(request, account="shop")
    hint = re.sub(r"[^A-Za-z@ ]|\b(?:set|pay_with|use|to|or)\b", " ", refused.value.hint or "").split()
    assert {word for word in hint if word.partition("@")[0].isupper()} == set(re.findall(r"`([^`]+)`", row))


def test_a_provider_without_orders_names_no_coins() -> None:
    assert "| coins " not in page("providers/emirex.md")
    assert "whose money an order becomes" not in page("providers/emirex.md")


def test_no_bar_in_a_piece_of_code_is_escaped() -> None:
    """`\\|` inside of backticks is shown with its backslash, also in tables."""
    for name, path in PAGES.items():
        if name.startswith("docs/"):
            for line in path.read_text(encoding="utf-8").splitlines():
                assert not any("\\|" in piece for piece in re.findall(r"(?<!`)`([^`]+)`(?!`)", line)), f"{name}: {line}"


# Drawings


def test_the_drawn_moves_are_those_that_the_models_allow() -> None:
    drawn = {(before, after) for befores, afters in script("diagrams").MOVES for before in befores for after in afters}
    allowed = {
        (before.value, after.value)
        for before in OrderStatus
        for after in OrderStatus
        if before is not after and before.may_become(after)
    }
    assert drawn == allowed


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_drawings_can_be_read_on_light_and_dark_pages() -> None:
    """WCAG 2: 4.5 for text, 3 for lines."""
    diagrams = script("diagrams")
    for fill, text in diagrams.COLOURS.values():
        assert contrast(fill, text) >= 4.5
    for background in diagrams.PAGES:
        assert contrast(diagrams.LINE, background) >= 3
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    for path, drawing in diagrams.generated().items():
        assert re.search(r"<title id=\"title\">.+</title>", drawing)
        assert len(re.findall(r"<desc id=\"words\">(.{80,})</desc>", drawing)) == 1
        assert all('fill="' in text for text in re.findall(r"<text[^>]*>", drawing))
        # And where it is shown, there are words for whoever does not see it.
        assert re.search(rf"!\[[^\]]{{60,}}\]\((\.\./)?diagrams/{path.name}\)", pages), path.name
