"""What holds for every command there is: the names are those of the application, so none is left out."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cli.commands import LINES, Line, Things, commands
from cli.conftest import COMMAND, TIMEOUT, Process, Run
from gateway.cli.app import build
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer

APPLICATION = get_command(build(load_plugins()))
assert isinstance(APPLICATION, TyperGroup)
COMMANDS = list(commands(APPLICATION))

ESCAPE = "\x1b"
DRAWN = re.compile("[\r\x08\u2500-\u259f\u2800-\u28ff]")
"""What bars, spinners, tables and QR codes are made of."""


def lines(command: str) -> tuple[Line, ...]:
    found = LINES.get(command, ())
    return (found,) if isinstance(found, Line) else found


CALLS = [pytest.param(command, line, id=f"{command} {line.words}") for command in COMMANDS for line in lines(command)]


@pytest.fixture
def things(cli: Run, shop: Path, server: SandboxServer, invoice: Callable[[str], str]) -> Things:
    return Things(cli, server, invoice)


def test_the_commands_are_found() -> None:
    assert {"doctor", "orders create", "orders watch", "store export"} <= set(COMMANDS)
    assert len(COMMANDS) == len(set(COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_line_here(command: str) -> None:
    assert lines(command), f"give `{command}` an entry in tests/cli/commands.py"


def test_no_line_is_for_a_command_that_is_gone() -> None:
    assert set(LINES) <= set(COMMANDS)


@pytest.mark.parametrize(("command", "line"), CALLS)
def test_json_is_one_document_and_nothing_else(
    command: str, line: Line, things: Things, cli: Run, folder: Path
) -> None:
    words = [*command.split(), *things.words(line), "--json"]
    if line.until_stopped:
        status, printed, said = stopped_when_up(folder, words, whole=True)
    else:
        result = cli(*words)
        status, printed, said = result.exit_code, result.stdout, result.stderr
    assert (status, said) == (line.status, ""), printed
    assert printed.isascii()
    document, end = json.JSONDecoder().raw_decode(printed)
    assert printed[end:] == "\n"
    assert isinstance(document, (dict, list))


@pytest.mark.parametrize(("command", "line"), CALLS)
def test_a_pipe_gets_text_alone(command: str, line: Line, things: Things, process: Process, folder: Path) -> None:
    words, env = [*command.split(), *things.words(line)], {"FORCE_COLOR": "1", "COLUMNS": "40"}
    if line.until_stopped:
        status, printed, said = stopped_when_up(folder, words, env=env)
    else:
        done = process(*words, env=env)
        status, printed, said = done.returncode, done.stdout, done.stderr
    assert status == line.status, said
    assert ESCAPE not in printed + said
    assert not DRAWN.search(printed + said)
    if status == 0:
        assert printed
        assert said == ""
    else:
        assert re.fullmatch("error: [^\n]+\n(hint: [^\n]+\n)?", said)


def stopped_when_up(
    folder: Path, words: list[str], *, whole: bool = False, env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Start a command that serves, end it once it has said that it is up (with `whole`, in a whole document)."""
    child = subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert child.stdout is not None
        printed = child.stdout.readline()
        while whole and printed and not printed.endswith(("\n}\n", "\n]\n")):
            line = child.stdout.readline()
            assert line, printed
            printed += line
        child.send_signal(signal.SIGTERM)
        rest, said = child.communicate(timeout=TIMEOUT)
    finally:
        child.kill()
        child.communicate()
    return child.returncode, printed + rest, said


# Help


def help_of(cli: Run, command: str) -> str:
    result = cli(*command.split(), "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def examples(text: str) -> list[list[str]]:
    """The lines of the example, as a shell takes them apart; without where their output goes."""
    found = [line.strip() for line in text.partition("Example:\n")[2].splitlines() if line.strip()]
    return [shlex.split(line.partition(" > ")[0]) for line in found]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_does_and_shows_an_example(command: str, cli: Run) -> None:
    text = help_of(cli, command)
    assert text.startswith(f"Usage: gateway {command} ")
    assert re.search(r"\n\n  [A-Z][^\n]+", text), "what does it do?"
    assert "--config FILE" in text
    assert "--json" in text
    for words in examples(text):
        assert " ".join(words).startswith(f"gateway {command}")
    assert examples(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_can_be_typed(command: str, cli: Run) -> None:
    for words in examples(help_of(cli, command)):
        found: Any = APPLICATION
        for name in command.split():
            found = found.commands[name]
        context = found.make_context(command, words[1 + len(command.split()) :])  # raises on what it does not take
        context.close()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is(command: str) -> None:
    found: Any = APPLICATION
    for name in command.split():
        found = found.commands[name]
    assert [parameter.name for parameter in found.params if not getattr(parameter, "help", None)] == []
