"""The fenced blocks of the README and of docs/, as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "blocks", "inline"]

ROOT = Path(__file__).parents[2]
PAGES = {str(path.relative_to(ROOT)): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))}
"""Every page, by its path from the root."""

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})\s*(\S*)\s*$")
_NOTE = re.compile(r"^\s*<!-- (.+?) -->\s*$")


@dataclass(frozen=True)
class Block:
    """One block. `note` is the comment right above it; `line` is that of its fence."""

    page: str
    line: int
    language: str
    text: str
    note: str = ""

    @property
    def file(self) -> str | None:
        """The file that it is, as its first line says: `# payments.py`."""
        found = re.match(r"# ([\w/.-]+\.(?:py|toml))(?:\s|:|$)", self.text)
        return found[1] if found else None

    @property
    def why_not_run(self) -> str | None:
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str | None = None) -> Iterator[Block]:
    """The blocks of a page, in order. A fence that is not closed is an error."""
    lines = iter(enumerate((PAGES[page].read_text(encoding="utf-8") if text is None else text).splitlines(), 1))
    note = ""
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening is None:
            note = found[1] if (found := _NOTE.match(line)) else note if not line.strip() else ""
            continue
        indent, fence, language = opening.groups()
        inside: list[str] = []
        for _, within in lines:
            closing = _FENCE.match(within)
            if closing and closing[2].startswith(fence) and not closing[3]:
                break
            inside.append(within.removeprefix(indent))
        else:
            raise AssertionError(f"{page}:{number}: the block has no end")
        yield Block(page, number, language, "\n".join(inside) + "\n", note)
        note = ""


def inline(page: str) -> Iterator[str]:
    """The pieces of code in the running text, spaces and line ends taken as one space."""
    text = PAGES[page].read_text(encoding="utf-8")
    outside, inside = [], ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if fence and (not inside or fence[2].startswith(inside)):
            inside = "" if inside else fence[2]
        elif not inside:
            outside.append(line)
    for paragraph in re.split(r"\n\s*\n", "\n".join(outside)):
        for piece in re.findall(r"(?<!`)`([^`]+)`(?!`)", paragraph):
            yield " ".join(piece.split())
