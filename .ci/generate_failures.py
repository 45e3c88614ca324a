"""Writes docs/failures.md from the table that the tests go through (tests/weather/matrix.py); with --check it only
compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "failures.md"


def main() -> int:
    sys.path.insert(0, str(ROOT / "tests"))
    from weather.matrix import markdown

    made = markdown()
    if "--check" in sys.argv[1:]:
        return int(not TARGET.exists() or TARGET.read_text(encoding="utf-8") != made)
    TARGET.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
