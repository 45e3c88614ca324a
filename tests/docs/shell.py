"""Lines of a `sh` or `console` block, taken apart as a shell would; only what the pages use is understood."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Command", "agrees", "commands"]


@dataclass(frozen=True)
class Command:
    """One command: its words, the variables set in front of it, where its output goes, and what is shown of it."""

    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    output: str | None = None
    shown: str | None = None


def commands(language: str, text: str) -> Iterator[Command]:
    """In a `console` block the lines after `$ …` are its output; a `sh` block has commands alone."""
    if language != "console":
        for line in text.replace("\\\n", " ").splitlines():
            yield from _command(line)
        return
    parts = re.split(r"(?m)^\$ ", text)
    assert not parts[0].strip(), "a console block begins with a command"
    for part in parts[1:]:
        line, _, shown = part.partition("\n")
        yield from _command(line, shown if shown.strip() else None)


def _command(line: str, shown: str | None = None) -> Iterator[Command]:
    words = shlex.split(line, comments=True)
    variables = []
    while words and re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables.append((name, value))
    if not words:
        assert not variables, f"{line!r} sets what no command sees"
        return
    for word in words:
        assert word not in ("|", "&&", "||", ";", "&", "<", ">>"), f"{line!r} is more than the tests understand"
    output = None
    if ">" in words:
        output = words[words.index(">") + 1]
        del words[words.index(">") :]
    yield Command(tuple(words), tuple(variables), output, shown)


def agrees(shown: str, printed: str) -> bool:
    """Whether this was printed. `…` stands for anything within a line, and alone on one for any number of lines."""
    pattern = ""
    for line in shown.rstrip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(piece) for piece in line.split("…")) + r"[ \t]*\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") else printed + "\n") is not None
