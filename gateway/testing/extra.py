"""The sandboxes need packages that a shop in production does not; this says so when they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import ConfigurationError

__all__ = ["sandbox_extra"]

_PACKAGES = {"anyio", "h11", "starlette", "uvicorn"}


@contextmanager
def sandbox_extra() -> Iterator[None]:
    """Around imports: a missing package of the extra `sandbox` becomes a ConfigurationError saying what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        raise ConfigurationError(
            f"sandboxes need the package {package}, which is not installed",
            hint="pip install 'crypto-gateway[sandbox]'",
        ) from error
