"""What docs/keys.md says of permissions and providers is what the code has."""

from __future__ import annotations

import re

import pytest

from docs.blocks import ROOT
from gateway.capabilities import OPERATIONS
from gateway.models import KeyAction, Permission
from gateway.plugins import load_plugins

PAGE = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
GRADE = re.compile(r"\b[DPCIX]\b")


def table(first: str) -> list[list[str]]:
    """The cells below the row that begins so, without the line under it."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    found: list[list[str]] = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return [found[0], *found[2:]]


def test_what_each_operation_needs() -> None:
    said = {row[0].strip("`"): re.findall(r"`([^`]+)`", row[1]) for row in table("permission")[1:]}
    # Callbacks come in: no key makes them.
    needed = {
        permission.value: sorted(
            name for name, known in OPERATIONS.items() if known.permission is permission and name != "callbacks.receive"
        )
        for permission in Permission
    }
    assert said == needed


def column(provider: str) -> dict[str, str]:
    head, *rows = table("a key")
    place = head.index(load_plugins().provider(provider).title)
    return {row[0]: row[place] for row in rows}


@pytest.mark.parametrize("name", ["aurex", "aurpay", "emirex"])
def test_what_each_provider_has(name: str) -> None:
    provider, said = load_plugins().provider(name), column(name)
    rules = provider.keys
    assert rules is not None
    assert re.findall(r"`([a-z-]+)`", said["kinds"]) == [kind.name for kind in rules.kinds]
    assert ("read, trade, withdraw" in said["permissions"]) == (rules.permissions is not None)
    assert ("trusted IPs" in said["addresses"]) == rules.restricts_addresses
    assert ("letter" in said["label"]) == bool(rules.label_rule)
    assert ("markup" in said["not interchangeable"]) == bool(rules.differ_by)
    assert ("60 a minute" in said["rate limit"]) == (provider.rate_limit is not None)
    assert ("e-mail code" in said["it asks for"]) == (len(rules.proofs[KeyAction.CREATE]) > 1)
    for row, operation in (("tried by", "keys.verify"), ("ended by", "keys.revoke")):
        grades = GRADE.findall(said[row])
        assert grades, row
        assert provider.capabilities.get(operation).grade.value in grades
