"""Distributions as an installer leaves them: packages in a folder, and a `.dist-info` beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["install"]


def install(
    folder: Path,
    distribution: str,
    *,
    version: str = "1.2.3",
    points: Mapping[str, str],
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write the metadata of a distribution with these entry points of the group `gateway`, and its files, into
    `folder`, which is to be on the path. The folder of the metadata.
    """
    about = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    written = {
        about / "METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        about / "entry_points.txt": f"[gateway]\n{lines}",
        **{folder / name: text for name, text in (files or {}).items()},
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return about
