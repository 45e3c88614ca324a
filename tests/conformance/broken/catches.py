"""The part of docs/conformance.md that says what the kit catches, written from the broken adapters.

`PYTHONPATH=tests python -m conformance.broken.catches` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conformance.broken.fault import AREAS, all_broken

__all__ = ["catches", "page"]

BEGIN, END = "<!-- what is caught: begin -->", "<!-- what is caught: end -->"
PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


def catches() -> Iterator[str]:
    broken = all_broken()
    for area, title in AREAS.items():
        yield f"\n### {title}\n\n| an adapter that is broken so | fails |\n| --- | --- |"
        for case in broken:
            if case.area == area:
                check = case.check.removeprefix("test_").replace("_", " ")
                yield f"| {case.wrong.replace('|', '&#124;')} | {check} |"


def page(text: str) -> str:
    """The page with its list as it is now."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    assert found, f"the page has no {BEGIN}"
    assert ended, f"the page has no {END}"
    return before + BEGIN + "\n" + "\n".join(catches()) + "\n\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
