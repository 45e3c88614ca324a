"""The command `gateway`. This module is imported without the extra `cli` too, to say that it is missing."""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = {"rich", "segno", "typer"}


def main() -> int:
    """Run the command line. Its exit status is raised or returned: 0 success, 1 an error, 2 misuse, 130 Ctrl-C."""
    try:
        from gateway.cli.app import run

        run()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        sys.stderr.write(
            f"error: the command line needs the package {package}, which is not installed\n"
            'hint: pip install "crypto-gateway[cli]"\n'
        )
        return 1
    except KeyboardInterrupt:  # before any command had begun
        return 130
