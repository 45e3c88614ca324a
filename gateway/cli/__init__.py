"""The command `gateway`. This module is imported without the extra `cli` too, to say that it is missing."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

_EXTRA = {"rich", "segno", "typer"}
_COMPLETE = "_GATEWAY_COMPLETE"
"""Set by the script of a shell that asks how a line could go on."""


def main() -> int:
    """Run the command line. Its exit status is raised or returned: 0 success, 1 an error, 2 misuse, 130 Ctrl-C."""
    if _COMPLETE in os.environ:
        return _complete()
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


def _complete() -> int:
    """Tell a shell how the line could go on, or nothing at all: a message would stand in the middle of the line."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  until the process ends
    try:
        from gateway.cli.app import run
        from gateway.cli.shells import take_line

        take_line()
        run()
    except Exception:
        return 1
