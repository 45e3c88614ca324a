"""Who does something here, where nobody else is named."""

from __future__ import annotations

import getpass
import os

__all__ = ["process_user"]


def process_user() -> str:
    """The user that this process runs as. Not what LOGNAME or USER say: anybody can set those."""
    try:
        import pwd
    except ImportError:  # no such thing on Windows
        return getpass.getuser()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user id without a name, as in many containers
        return f"user {os.getuid()}"
