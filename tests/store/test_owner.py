"""Whose a lease is, and whether its process still runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.store import owner as module
from gateway.store.owner import Owner, is_alive, this_process


@pytest.fixture
def other() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)


def claim_of(pid: int) -> Owner:
    return replace(this_process(), pid=pid, started=module._started(pid) or "")


def test_this_process_is_alive() -> None:
    assert is_alive(str(this_process())) is True


def test_two_claims_differ_and_both_are_ours() -> None:
    one, two = this_process(), this_process()
    assert one.claim != two.claim
    assert replace(one, claim="") == replace(two, claim="")


def test_it_is_read_back() -> None:
    claim = this_process()
    assert Owner.parse(str(claim)) == claim
    assert claim.pid == os.getpid()
    assert claim.started.isdigit()
    assert claim.machine


@pytest.mark.parametrize("text", ["", "somebody", "a|b|c|d|e", "a|b|0|1|e", "a|b|-1|1|e", "a|b|9999999999|1|e", "||||"])
def test_what_is_no_owner_is_not_known(text: str) -> None:
    assert Owner.parse(text) is None
    assert is_alive(text) is None


def test_a_process_that_ends(other: subprocess.Popen[str]) -> None:
    claim = str(claim_of(other.pid))
    assert is_alive(claim) is True
    other.kill()
    # Its number stays until it is waited for; it runs no more all the same.
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(claim) is False
    other.communicate()
    assert is_alive(claim) is False


def test_another_process_of_the_same_number() -> None:
    claim = this_process()
    assert is_alive(str(replace(claim, started=str(int(claim.started) - 1)))) is False


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"machine": "another boot/pid:[1]"}, {"started": ""}])
def test_what_cannot_be_known(change: dict[str, str]) -> None:
    assert is_alive(str(replace(this_process(), **change))) is None


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_it_is_the_child() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(this_process()).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        claimed = Owner.parse(pipe.read())
    os.waitpid(child, 0)
    assert claimed is not None
    assert claimed.pid == child


def test_a_process_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert is_alive(str(this_process())) is True


class TestWithoutProc:
    """As on a system that has no /proc."""

    @pytest.fixture(autouse=True)
    def _nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_PROC", tmp_path)

    def test_a_process_that_is_there_may_be_another(self) -> None:
        claim = this_process()
        assert (claim.machine, claim.started) == ("", "")
        assert is_alive(str(claim)) is None

    def test_a_process_that_is_gone_is_gone(self, other: subprocess.Popen[str]) -> None:
        claim = str(claim_of(other.pid))
        other.communicate("\n")
        assert is_alive(claim) is False


def test_a_host_name_does_not_break_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.socket, "gethostname", lambda: "a|b")
    assert is_alive(str(this_process())) is True


def test_a_name_with_brackets_does_not_mislead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROC", tmp_path)
    (tmp_path / "7").mkdir()
    fields = "S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 0"
    (tmp_path / "7" / "stat").write_text(f"7 (a ) Z (b) {fields}")
    assert module._started(7) == "4242"
