from __future__ import annotations

from flows.conftest import colour, world

__all__ = ["colour", "world"]
