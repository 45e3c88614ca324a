"""Every block of code in the README and in docs/ is run, each page as one session, by what its language is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from docs.blocks import PAGES, Block, blocks, inline
from docs.session import Session, running
from docs.shell import agrees, commands
from docs.stages import STAGES, usual
from gateway.cli.app import build
from gateway.plugins import load_plugins
from gateway.testing import SandboxServer, installed_sandboxes

WITH_BLOCKS = [page for page in PAGES if list(blocks(page))]

NOT_RUN = {
    "docs/howto/postgresql.md": ["needs an administrator of the server"],
    "docs/production.md": ["another program, and the paths of a server", "another program, and a server of your own"],
}
"""The only blocks that no test runs, by page, with the reason that stands above each."""


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(installed_sandboxes()) as server:
        yield server


@pytest.fixture
def session(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: SandboxServer,
    request: pytest.FixtureRequest,
) -> Iterator[Session]:
    postgres: Callable[[], str] = lambda: request.getfixturevalue("empty_postgres")  # noqa: E731
    yield from running(tmp_path, monkeypatch, postgres, sandbox)


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_the_page_runs(page: str, session: Session) -> None:
    found = list(blocks(page))
    STAGES.get(page, usual)(session)
    for block in found:
        if block.why_not_run is None:
            session.run(block)
    session.end()
    assert sum(session.counts.values()) == len(found) - len(NOT_RUN.get(page, []))


def test_what_is_not_run_says_why_and_is_listed_here() -> None:
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for block in blocks(page):
            if block.why_not_run is not None:
                found.setdefault(page, []).append(block.why_not_run)
    assert found == NOT_RUN
    assert sum(map(len, found.values())) <= 4, "run it, or bring it into a form that can be run"


def test_the_pages_with_blocks_are_found() -> None:
    assert {"README.md", "docs/start.md", "docs/callbacks.md", "docs/events.md"} <= set(WITH_BLOCKS)
    assert set(STAGES) <= set(WITH_BLOCKS)


# The commands that stand in the running text

PIECES = sorted({(page, piece) for page in PAGES for piece in inline(page) if piece.startswith("gateway ")})


def test_commands_in_the_text_are_found() -> None:
    assert len(PIECES) > 100


def test_every_command_in_the_text_exists() -> None:
    application: Any = get_command(build(load_plugins()))
    wrong = []
    for page, piece in PIECES:
        try:
            _check(application, piece.replace("\\|", "|"))
        except Exception as error:
            wrong.append(f"{page}: `{piece}`: {error}")
    assert not wrong, "\n".join(wrong)


def _check(application: Any, piece: str) -> None:
    """Commands have to exist, of `a|b` both; what follows has to be what they take, if it is written out."""
    words = shlex.split(piece.partition(" > ")[0])[1:]
    found = [application]
    while words and all(isinstance(each, TyperGroup) for each in found) and not words[0].startswith("-"):
        names = words.pop(0)
        if names == "…":
            return
        found = [each.commands[name] for each in found for name in names.split("|")]
    (command, *others) = found
    if others or not words or isinstance(command, TyperGroup) or _abridged(words):
        return
    command.make_context(command.name, words).close()


def _abridged(words: list[str]) -> bool:
    return any(word in ("…", "[OPTIONS]") or re.search(r"[\[{|]", word) for word in words)


# The tests' own reading of a page

SAMPLE = """\
Words.

<!-- not run: a reason -->
```ini
[Unit]
```

- in a list:

  ```sh
  gateway doctor \\
    --json  # words
  ```

````markdown
```python
1 / 0
```
````
"""


def test_blocks_are_read_as_markdown_has_them() -> None:
    found = list(blocks("sample", SAMPLE))
    assert [(block.language, block.line, block.why_not_run) for block in found] == [
        ("ini", 4, "a reason"),
        ("sh", 10, None),
        ("markdown", 15, None),
    ]
    assert [command.words for command in commands("sh", found[1].text)] == [("gateway", "doctor", "--json")]
    with pytest.raises(AssertionError, match="no end"):
        list(blocks("sample", "```python\n1\n"))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "1 / 0\n"),
        ("python", "assert False\n"),
        ("python", "raise SystemExit(0)\n"),
        ("python", "# wrong.py\nimport nowhere_at_all\n"),
        ("python", "# test_wrong.py\ndef test_it():\n    assert False\n"),
        ("sh", "gateway no-such-command\n"),
        ("sh", "gateway orders get nobody\n"),
        ("sh", "rm -rf nothing\n"),
        ("sh", "gateway doctor | head\n"),
        ("sh", "make nothing-of-the-kind\n"),
        ("sh", 'pip install "crypto-gateway[nothing]"\n'),
        ("console", "$ gateway --version\nanother program 1.0\n"),
        ("toml", "# gateway.toml\nno_such_setting = 1\n"),
        ("toml", '# gateway.toml\n[accounts.shop]\nprovider = "aurpay"\n'),
        ("json", "{'a': 1}\n"),
        ("http", "FETCH /orders\n"),
        ("", "words\n"),
        ("rust", "fn main() {}\n"),
    ],
)
def test_a_block_that_is_wrong_fails(language: str, text: str, session: Session) -> None:
    usual(session)
    with pytest.raises(Exception):  # noqa: B017, PT011, PT012 - whatever goes wrong in a block, or at the end
        session.run(Block("sample", 1, language, text))
        session.end()


def test_output_is_compared() -> None:
    assert agrees("a\tb…\n…\nend\n", "a\tbcd\n1\n2\nend\n")
    assert agrees("a\n…\n", "a\n")
    assert not agrees("a\n", "a\nb\n")
    assert not agrees("a…\n", "b\n")
