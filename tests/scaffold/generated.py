"""Distributions that were generated, written to a folder and made known as an installer would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from gateway.scaffold import NewProvider, Part, Scheme, render
from support.installed import install

__all__ = ["EDGES", "PATIENCE", "generate", "run"]

PATIENCE = 240
EDGES = ("a", "acme", "acme-pay2", "a-name-of-32-letters-0123456789x")
"""Names of all lengths: what a formatter does with a line depends on it."""


def generate(
    folder: Path, name: str = "acme", scheme: Scheme = Scheme.BEARER, title: str = "", parts: Iterable[Part] = ()
) -> NewProvider:
    """Write it to `folder`, with the metadata of an installed distribution beside its package."""
    provider = NewProvider(name, scheme, title, frozenset(parts))
    for path, text in render(provider).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    install(folder / "src", provider.distribution, version="0.1.0", points={name: provider.package})
    return provider


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m …` in the folder, with its package on the path."""
    path = os.pathsep.join([str(folder / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
