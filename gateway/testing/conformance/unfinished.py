"""What a generated adapter leaves to its author and is still to be filled in."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.scaffold import MARKER, left_to_fill_in
from gateway.testing.conformance.subject import Subject

__all__ = ["unfinished"]

_TESTS = ("test_*.py", "*_test.py", "conftest.py")
_NEAR = 3
"""How many folders above the tests a pyproject.toml is looked for."""


def unfinished(subject: Subject, examiners: Iterable[type] = ()) -> list[str]:
    """Marked places of the adapter's package, of the tests beside the subject, and of the pyproject.toml above them
    with its README.md: file, line and what is missing.
    """
    texts: dict[str, str] = {}
    for name, file in _files(subject, examiners):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if MARKER in text:
            texts.setdefault(name, text)
    return left_to_fill_in(texts)


def _files(subject: Subject, examiners: Iterable[type]) -> Iterator[tuple[str, Path]]:
    tests = [file for kind in (type(subject), *examiners) if (file := _file_of(kind)) is not None]
    folders = list(dict.fromkeys(file.parent for file in tests))
    project = next((found for folder in folders for found in _projects(folder)), None)
    root = project.parent if project is not None else Path.cwd()
    if project is not None:
        yield "README.md", root / "README.md"
        yield _named(project, root, root), project
    package = sys.modules.get(subject.provider.adapter.__module__.partition(".")[0])
    for place in getattr(package, "__path__", ()):
        for file in sorted(Path(place).rglob("*.py")):
            yield _named(file.resolve(), root, Path(place).resolve().parent), file
    beside = {*tests, *(file for folder in folders for pattern in _TESTS for file in folder.glob(pattern))}
    for file in sorted(beside):
        yield _named(file, root, file.parent), file


def _file_of(kind: type) -> Path | None:
    """Where a class was written; None for one that was made as the program ran."""
    try:
        return Path(inspect.getfile(kind)).resolve()
    except (TypeError, OSError):
        return None


def _projects(folder: Path) -> Iterator[Path]:
    for above in (folder, *list(folder.parents)[:_NEAR]):
        if (found := above / "pyproject.toml").is_file():
            yield found


def _named(file: Path, root: Path, otherwise: Path) -> str:
    return file.relative_to(root if file.is_relative_to(root) else otherwise).as_posix()
