"""Who the audit says did something, where nobody says it: the user of the process, whatever its environment claims."""

from __future__ import annotations

import getpass
import os
import pwd
import sys

import pytest

from gateway.actor import process_user

CLAIMS = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture(autouse=True)
def claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLAIMS:
        monkeypatch.setenv(name, "somebody-else")


def test_the_user_id_decides() -> None:
    assert process_user() == pwd.getpwuid(os.getuid()).pw_name != "somebody-else"


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with a number of its own."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert process_user() == f"user {os.getuid()}"


def test_a_system_without_user_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pwd", None)
    assert process_user() == getpass.getuser() == "somebody-else"
