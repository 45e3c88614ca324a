"""What a command of the command line printed, read back."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import Result

__all__ = ["document", "failure", "fields", "rows"]


def document(result: Result) -> Any:
    """The one JSON document of a success; nothing else was said."""
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def fields(result: Result) -> dict[str, str]:
    """One thing as it is shown in a pipe: a name, a tab, a value."""
    assert result.exit_code == 0, result.output
    return dict(line.split("\t", 1) for line in result.stdout.splitlines())


def rows(result: Result) -> list[dict[str, str]]:
    """A list as it is shown in a pipe: titles, then values, between tabs."""
    assert result.exit_code == 0, result.output
    titles, *lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert all(len(line) == len(titles) for line in lines)
    return [dict(zip(titles, line, strict=True)) for line in lines]


def failure(result: Result) -> dict[str, Any]:
    """The error of a command with --json."""
    assert result.exit_code == 1, result.output
    assert result.stderr == ""
    found: dict[str, Any] = json.loads(result.stdout)
    return found
