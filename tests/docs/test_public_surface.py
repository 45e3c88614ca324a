"""What docs/stability.md promises beyond the names: parameters, fields, attributes and members, as they are recorded.

`python .ci/record_surface.py` writes the record anew, and what it changes is looked at by a person: what goes or is
renamed has to be deprecated first.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import sys
from functools import cache
from types import ModuleType
from typing import Any, Protocol

import pytest
from pydantic import BaseModel

from docs.blocks import ROOT
from gateway.errors import GatewayError

RECORD = ROOT / "tests" / "docs" / "public_surface.txt"


@cache
def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_surface", ROOT / ".ci" / "record_surface.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_what_is_public_is_as_recorded() -> None:
    differences = recorder().differences(RECORD.read_text(encoding="utf-8"), recorder().recorded())
    told = "\n".join(differences)
    assert not differences, (
        f"what docs/stability.md promises has changed:\n{told}\n"
        "What is gone has to be deprecated first, as that page says. What is meant and new is recorded by "
        f"`{recorder().COMMAND}`"
    )


@pytest.mark.parametrize(
    "line",
    [
        "gateway.models.ProviderOrder.expires_at: ",
        "gateway.errors.GatewayError.provider_code (attribute)",
        "gateway.errors.RateLimited.retry_after (attribute)",
        "gateway.errors.OutcomeUnknown.default_outcome: ClassVar[Outcome] = Outcome.UNKNOWN",
        "gateway.api.Orders.create(self, request: OrderRequest",
        "gateway.aio.Orders.create(self, request: OrderRequest",
        "gateway.api.Order.",
        "gateway.contracts.CreatesOrders.create_order(self, order: NewOrder) -> Operation[ProviderOrder]",
        "gateway.contracts.Account.name: str",
        "gateway.testing.SandboxServer.pay(self, name: str",
        "gateway.testing.Payment.UNDER = 'under'",
        "gateway.config.GatewaySettings.store: ",
        "gateway.config.WorkerSettings.concurrency: ",
        "gateway_aurpay.settings.",
        "gateway.observation.Record.outcome: str",
    ],
)
def test_of_every_kind_something_is_recorded(line: str) -> None:
    found = [each for each in RECORD.read_text(encoding="utf-8").splitlines() if each.startswith(line)]
    # `gateway.api` shows no models: a name is recorded once, where the reference has it.
    assert bool(found) is (line != "gateway.api.Order.")


# That a change of each kind is found, and named


def made(kind: str, name: str) -> Any:
    """Something public that has one member of this name."""
    if kind == "model":
        return type("Thing", (BaseModel,), {"__annotations__": {"first": str, name: str}})
    if kind == "dataclass":
        return dataclasses.make_dataclass("Thing", [("first", str), (name, str)])
    if kind == "words":
        return enum.StrEnum("Thing", {"FIRST": "first", name.upper(): name})

    def attribute(self: Any, message: str) -> None:
        GatewayError.__init__(self, message)
        setattr(self, name, None)

    if kind == "error":
        return type("Thing", (GatewayError,), {"__init__": attribute})
    if kind == "method":
        return type("Thing", (), {name: lambda self: None})
    if kind == "property":
        return type("Thing", (), {name: property(lambda self: None)})
    if kind == "protocol":
        return type("Thing", (Protocol,), {"__annotations__": {name: str}})  # type: ignore[arg-type]
    scope: dict[str, Any] = {}
    exec(f"def function({name}: str) -> None: ...", scope)
    return scope["function"]


@pytest.mark.parametrize("kind", ["model", "dataclass", "words", "error", "method", "property", "protocol", "function"])
def test_a_member_that_is_renamed_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = recorder()
    monkeypatch.setattr(module, "OURS", (*module.OURS, __name__.partition(".")[0]))

    def lines(name: str) -> str:
        thing = made(kind, name)
        thing.__module__ = __name__
        return "\n".join(module.surface("shop.thing", thing))

    assert module.differences(lines("before"), lines("before")) == []
    found = module.differences(lines("before"), lines("later"))
    if kind == "function":
        assert found == ["changed: shop.thing(before: str) -> None\n     now: shop.thing(later: str) -> None"]
    else:
        old, new = ("BEFORE", "LATER") if kind == "words" else ("before", "later")
        assert len(found) == 2
        assert found[0].startswith(f"gone or renamed: shop.thing.{old}")
        assert found[1].startswith(f"not recorded yet: shop.thing.{new}")


@pytest.mark.parametrize(
    ("before", "later"),
    [
        ("*, price: int", "price: int"),
        ("price: int = 1", "price: int"),
        ("price: int = 1", "price: int = 2"),
        ("price: int", "price: str"),
        ("one: int, two: int", "two: int, one: int"),
        ("one: int", "one: int, *more: int"),
    ],
)
def test_parameters_that_change_are_found(before: str, later: str) -> None:
    def line(parameters: str) -> str:
        scope: dict[str, Any] = {}
        exec(f"def function({parameters}) -> None: ...", scope)
        (told,) = recorder().surface("shop.thing", scope["function"])
        return str(told)

    (found,) = recorder().differences(line(before), line(later))
    assert found == f"changed: {line(before)}\n     now: {line(later)}"


def test_it_is_written_and_compared_by_one_command(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    module = recorder()
    monkeypatch.setattr(module, "TARGET", tmp_path / "surface.txt")
    monkeypatch.setattr(sys, "argv", ["record"])
    assert module.main() == 0
    monkeypatch.setattr(sys, "argv", ["record", "--check"])
    assert module.main() == 0
    text = module.TARGET.read_text(encoding="utf-8")
    module.TARGET.write_text(text.replace("ProviderOrder.expires_at", "ProviderOrder.lapses_at"), encoding="utf-8")
    assert module.main() == 1
    said = capsys.readouterr().out
    assert "gone or renamed: gateway.models.ProviderOrder.lapses_at" in said
    assert "not recorded yet: gateway.models.ProviderOrder.expires_at" in said
