"""`gateway keys create` on a pseudo-terminal that controls it, with the sandbox of Emirex as the provider."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.conftest import COMMAND, TIMEOUT, Process, Terminal
from cli.kept_keys import Ring
from gateway.cli import key_wizard, session
from gateway.cli.app import build
from gateway.contracts import KeyPart
from gateway.errors import StoreError, VaultError
from gateway.keyring import Vault
from gateway.models.keys import KeyState, Permission
from gateway.plugins import load_plugins
from gateway.secrets import Secret
from gateway.store import keys as stored
from gateway.testing import SandboxServer, faults
from gateway_aurex.sandbox import AurexSandbox

# A shell gives its commands a terminal that controls them: Ctrl-C reaches them, and /dev/tty is theirs.
CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
PAYOUT = ("keys", "create", "--account", "emirex", "--label", "Payout1", "--permission", "withdraw")
CREATE = (*PAYOUT, "--ip", "203.0.113.7")
GO_ON = "[Enter to go on] "
TRY_IT = "[Enter to have the key read with] "
SECRET, PUBLIC = "Private secret key: ", "Public key: "
AGAIN = "(again, same, unread, leave): "
WITHDRAW = frozenset({Permission.WITHDRAW})
BROKEN = "\udcff"  # typed as the byte 0xff
CTRL_C, CTRL_D = "\x03", "\x04"


@dataclass
class Person(Terminal):
    """Somebody at the terminal. `shown` is all that was there to be seen."""

    before: str = ""

    def sees(self, expected: str) -> str:
        """What was shown up to this, since the last time."""
        self.read_until(expected)
        end = self.text.index(expected) + len(expected)
        seen, self.text = self.text[:end], self.text[end:]
        self.before += seen
        return seen

    def answers(self, prompt: str, typed: str = "") -> str:
        seen = self.sees(prompt)
        self.type(typed if typed in (CTRL_C, CTRL_D) else f"{typed}\n")
        return seen

    @property
    def shown(self) -> str:
        return self.before + self.text

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)


@pytest.fixture
def person(folder: Path) -> Iterator[Callable[..., Person]]:
    opened: list[Person] = []

    def run(*words: str, stdout: int | None = None) -> Person:
        master, slave = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-c", CONTROLLED, *COMMAND[1:], *words],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        opened.append(Person(child, master))
        return opened[-1]

    yield run
    for each in opened:
        if each.child.poll() is None:
            each.child.kill()
            each.child.wait(TIMEOUT)
        if each.child.stdout is not None:
            each.child.stdout.close()
        os.close(each.master)


@pytest.fixture
def ring(folder: Path, server: SandboxServer) -> Iterator[Ring]:
    yield Ring(folder, server)
    server.faults("emirex").clear()


def walk_to(person: Person, prompt: str, ring: Ring, *, secret: str | None = None, made: bool = True) -> None:
    """Up to this prompt, with the key made at the provider after step 4."""
    for _ in range(4):
        person.answers(GO_ON)
    if made:
        ring.make()
    if prompt == SECRET:
        person.sees(prompt)
        return
    person.answers(SECRET, secret or ring.secret)
    if prompt == PUBLIC:
        person.sees(prompt)
        return
    person.answers(PUBLIC, ring.public)
    for _ in range(2):
        person.answers(GO_ON)
    person.sees(prompt)


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def numbers_of(text: str) -> list[int]:
    """The provider's own numbers of the steps that are shown, in that order."""
    found = re.findall(r"^Step (\d+)(?:-(\d+))?\. ", text, re.MULTILINE)
    return [number for first, last in found for number in range(int(first), int(last or first) + 1)]


def test_every_step_of_the_provider_is_walked_through(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE)
    head = somebody.answers(GO_ON)
    assert "A key at Emirex for the account emirex: Payout1, may withdraw, from 203.0.113.7." in head
    assert "What will be asked for: e-mail code, one-time code" in head
    assert numbers_of(head) == [1]
    label = somebody.answers(GO_ON)
    assert numbers_of(label) == [2]
    assert "\n    enter label: Payout1\n" in label
    assert numbers_of(somebody.answers(GO_ON)) == [3]
    code = somebody.answers(GO_ON)
    assert numbers_of(code) == [4]
    assert "\n    asked for: e-mail code, one-time code\n" in code
    ring.make()
    assert numbers_of(somebody.sees(SECRET)) == [5]
    assert not somebody.echoes()
    somebody.type("\n")
    assert "Nothing was entered." in somebody.sees(SECRET)
    somebody.type(f" {ring.secret} \n")
    assert numbers_of(somebody.answers(PUBLIC, ring.public)) == [6]
    edit = somebody.answers(GO_ON)
    assert numbers_of(edit) == [7, 8]
    assert "\n    enter trusted IPs: 203.0.113.7\n" in edit
    assert "\n    tick: withdraw\n" in edit
    assert numbers_of(somebody.answers(GO_ON)) == [9, 10]
    assert numbers_of(somebody.sees(TRY_IT)) == [14]
    before = ring.reads()
    assert ring.kept() == []
    assert ring.secrets() == set()

    somebody.type("\n")
    assert somebody.end() == 0, somebody.shown
    assert ring.reads() == before + 1, "it was verified, once"
    accepted, _, later = somebody.text.partition(
        "Emirex has accepted the key Payout1: it is kept in the ring of emirex."
    )
    assert "before anything else uses it" in accepted
    assert numbers_of(later) == [11, 12, 13]
    assert later.index("Later\n") < later.index("Step 11-12.")
    assert sorted(numbers_of(somebody.shown)) == list(range(1, 15))

    [key] = ring.kept()
    assert (key.label, key.state, key.public_id) == ("Payout1", KeyState.ACTIVE, ring.public)
    assert (key.permissions, key.networks) == (WITHDRAW, ("203.0.113.7/32",))
    assert key.verified_at is not None
    assert ring.secrets() == {ring.secret}
    assert ring.secret not in somebody.shown
    assert ring.secret.encode() not in ring.files()


def test_a_wrong_secret_is_asked_for_again_and_was_never_kept(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE)
    walk_to(somebody, TRY_IT, ring, secret="canary-that-is-wrong")
    somebody.type("\n")
    refused = somebody.sees(AGAIN)
    assert "error: emirex (emirex) keys.verify: " in refused
    assert "Nothing was kept." in refused
    assert (ring.kept(), ring.secrets()) == ([], set())
    somebody.type("what?\n")
    assert "hint: one of again, same, unread, leave" in somebody.answers(AGAIN, "again")
    somebody.answers(PUBLIC, ring.public)
    somebody.answers(SECRET, ring.secret)
    assert somebody.end() == 0, somebody.shown
    assert [key.label for key in ring.kept()] == ["Payout1"]
    assert ring.secrets() == {ring.secret}
    assert "canary" not in somebody.shown


def test_what_is_no_text_is_asked_for_again(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE)
    somebody.answers(GO_ON, BROKEN)
    assert "what was entered is no text in UTF-8" in somebody.answers(GO_ON)
    for _ in range(3):
        somebody.answers(GO_ON)
    ring.make()
    somebody.answers(SECRET, f"canary-{BROKEN}-broken")
    assert "what was entered is no text in UTF-8, so nothing was done with it\n" in somebody.answers(
        SECRET, ring.secret
    )
    somebody.answers(PUBLIC, BROKEN)
    assert "what was entered is no text in UTF-8" in somebody.answers(PUBLIC, ring.public)
    for _ in range(2):
        somebody.answers(GO_ON)
    somebody.answers(TRY_IT)
    assert somebody.end() == 0, somebody.shown
    assert ring.secrets() == {ring.secret}
    assert "Traceback" not in somebody.shown
    assert "canary" not in somebody.shown


def test_what_is_shown_once_need_not_be_entered_again(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE)
    walk_to(somebody, TRY_IT, ring, made=False)
    somebody.type("\n")
    somebody.sees(AGAIN)
    assert ring.kept() == []
    ring.make()
    somebody.type("same\n")
    assert somebody.end() == 0, somebody.shown
    assert [key.label for key in ring.kept()] == ["Payout1"]
    assert ring.secrets() == {ring.secret}


def test_leaving_after_a_refusal_keeps_nothing(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE)
    walk_to(somebody, TRY_IT, ring, secret="canary-that-is-wrong")
    somebody.type("\n")
    somebody.answers(AGAIN, "leave")
    assert somebody.end() == 1
    assert "error: the walk was left: nothing was kept\n" in somebody.shown
    assert_it_is_told_how_a_key_is_ended(somebody)
    assert (ring.kept(), ring.secrets()) == ([], set())
    assert "canary" not in somebody.shown


def test_what_the_provider_cannot_read_with_now_need_not_be_lost(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE)
    walk_to(somebody, TRY_IT, ring)
    ring.server.faults("emirex").add(faults.Status(status=503, times=50))
    somebody.type("\n")
    somebody.answers(AGAIN, "unread")
    assert somebody.end() == 0, somebody.shown
    assert "Emirex has accepted" not in somebody.shown
    assert "`gateway keys verify --account emirex --label Payout1` tries it.\n" in somebody.shown
    [key] = ring.kept()
    assert (key.label, key.verified_at) == ("Payout1", None)
    assert ring.secrets() == {ring.secret}


CANNOT_BE_READ_WITH = [
    ({"egress": "198.51.100.9"}, "requests come from 198.51.100.9"),
    ({"allow_inferred": []}, "keys.verify"),
]


@pytest.mark.parametrize(("settings", "why"), CANNOT_BE_READ_WITH)
def test_a_key_that_cannot_be_read_with_here_is_told_before_the_first_step(
    ring: Ring, person: Callable[..., Person], settings: dict[str, Any], why: str
) -> None:
    ring.configure(auth={"kind": "ring"}, **settings)
    somebody = person(*CREATE)
    assert somebody.end() == 1, somebody.shown
    assert why in somebody.shown
    assert "or --no-check keeps the key without having read with it\n" in somebody.shown
    assert "Step 1." not in somebody.shown


@pytest.mark.parametrize(("settings", "why"), CANNOT_BE_READ_WITH)
def test_a_key_that_cannot_be_read_with_here_is_kept_when_that_is_asked_for(
    ring: Ring, person: Callable[..., Person], settings: dict[str, Any], why: str
) -> None:
    ring.configure(auth={"kind": "ring"}, **settings)
    before = ring.reads()
    somebody = person(*CREATE, "--no-check")
    walk_to(somebody, "[Enter to have the key kept] ", ring, made=False)
    somebody.type("\n")
    assert somebody.end() == 0, somebody.shown
    assert "The key Payout1 is kept in the ring of emirex.\nNothing was read with it" in somebody.shown
    assert ring.reads() == before
    [key] = ring.kept()
    assert (key.label, key.networks, key.verified_at) == ("Payout1", ("203.0.113.7/32",), None)
    assert ring.secrets() == {ring.secret}


def test_a_secret_that_is_left_in_the_vault_is_told_before_the_first_step(
    ring: Ring, person: Callable[..., Person]
) -> None:
    ring.leave("Payout1", "canary-of-an-interrupted-walk")
    somebody = person(*CREATE)
    assert somebody.end() == 1, somebody.shown
    assert "emirex/Payout1" in somebody.shown
    assert "gateway vault forget emirex/Payout1" in somebody.shown
    same = "gateway keys add Payout1 --account emirex --kind signed --permission withdraw --ip 203.0.113.7"
    assert f"`{same}` goes on with that key" in somebody.shown
    assert "Step 1." not in somebody.shown
    assert "canary" not in somebody.shown


def assert_it_is_told_how_a_key_is_ended(somebody: Person) -> None:
    assert "a key that was made at Emirex meanwhile is valid: end it there; " in somebody.shown
    assert "`gateway keys guide revoke --account emirex --label Payout1` says how\n" in somebody.shown


@pytest.mark.parametrize("prompt", [SECRET, PUBLIC, TRY_IT, AGAIN])
@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["ctrl-c", "ctrl-d"])
def test_leaving_anywhere_keeps_nothing(ring: Ring, person: Callable[..., Person], prompt: str, key: str) -> None:
    somebody = person(*CREATE)
    walk_to(somebody, TRY_IT if prompt == AGAIN else prompt, ring, secret="canary-that-is-wrong")
    if prompt == AGAIN:
        somebody.type("\n")
        somebody.sees(AGAIN)
    somebody.type(key)
    assert somebody.end() == (130 if key == CTRL_C else 1), somebody.shown
    assert "nothing was kept\n" in somebody.shown
    assert_it_is_told_how_a_key_is_ended(somebody)
    assert (ring.kept(), ring.secrets()) == ([], set())
    assert somebody.echoes()
    assert "canary" not in somebody.shown


def test_a_process_that_is_ended_while_a_secret_is_typed_leaves_a_terminal_that_shows_what_is_typed(
    ring: Ring, person: Callable[..., Person]
) -> None:
    somebody = person(*CREATE)
    walk_to(somebody, SECRET, ring)
    until(lambda: not somebody.echoes())
    somebody.child.terminate()
    assert somebody.end() == 130, somebody.shown
    assert somebody.echoes()
    assert "error: interrupted: nothing was kept\n" in somebody.shown
    assert_it_is_told_how_a_key_is_ended(somebody)
    assert (ring.kept(), ring.secrets()) == ([], set())


def test_whatever_goes_wrong_in_the_walk_it_tells_of_the_key_that_was_made(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(part: KeyPart) -> Secret:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(session, "interactive", lambda: True)
    monkeypatch.setattr(key_wizard, "read_part", broken)
    result = CliRunner().invoke(build(load_plugins()), list(CREATE), input="\n" * 4)
    assert isinstance(result.exception, RuntimeError)
    assert "error: nothing was kept\n" in result.stderr
    assert "a key that was made at Emirex meanwhile is valid: end it there; " in result.stderr


def test_what_is_left_of_a_key_that_could_not_be_kept_is_told(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store takes no row, and the vault, which has the secret by then, does not let it go."""

    def full(*given: object) -> None:
        raise StoreError("the disk is full; nothing was recorded")

    def held(*given: object, **more: object) -> None:
        raise VaultError("it cannot be written")

    typed = {"public_key": ring.public, "secret": ring.secret}
    ring.make()
    monkeypatch.setattr(session, "interactive", lambda: True)
    monkeypatch.setattr(key_wizard, "read_part", lambda part: Secret(typed[part.name]))
    monkeypatch.setattr(stored, "add", full)
    monkeypatch.setattr(Vault, "remove_many", held)
    result = CliRunner().invoke(build(load_plugins()), list(CREATE), input="\n" * 2 + "leave\n" * 9)
    assert result.exit_code == 1, result.stderr
    assert "othing was kept" not in result.stderr
    assert "the vault may have emirex/Payout1 still" in result.stderr
    assert "The vault has emirex/Payout1, and the ring no key of it.\n" in result.stderr
    assert "the walk was left: the vault has emirex/Payout1, and the ring no key of it" in result.stderr
    assert "`gateway keys add Payout1 --account emirex --kind signed" in result.stderr
    assert ring.secret not in result.stderr
    assert ring.secrets() == {ring.secret}


def test_ctrl_c_while_the_key_is_read_with_keeps_nothing(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE)
    walk_to(somebody, TRY_IT, ring)
    ring.server.faults("emirex").add(faults.Delay(seconds=20))
    before = len(ring.server.requests["emirex"])
    somebody.type("\n")
    somebody.sees("before anything else uses it.\n")
    until(lambda: len(ring.server.requests["emirex"]) > before)
    somebody.type(CTRL_C)
    assert somebody.end() == 130, somebody.shown
    assert "error: interrupted: nothing was kept\n" in somebody.shown
    assert_it_is_told_how_a_key_is_ended(somebody)
    assert (ring.kept(), ring.secrets()) == ([], set())


def test_ctrl_c_before_the_first_step_tells_of_no_key(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person("keys", "create", "--account", "emirex")
    somebody.answers("'-' and '_' only): ", CTRL_C)
    assert somebody.end() == 130
    assert somebody.shown.endswith("error: interrupted: nothing was kept\n")


# What the walk takes


def test_what_is_missing_is_asked_for_until_it_is_right(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person("keys", "create", "--account", "emirex")
    rule = (
        "Label (at least one upper-case letter, one lower-case letter and one digit; letters, digits, '-' and '_' only)"
    )
    assert rule in somebody.answers("only): ", "payout")
    assert "Emirex takes no label 'payout'" in somebody.answers("only): ", "Payout 1")
    somebody.answers("only): ", "Payout1")
    can = "What it may do, one or several of read, trade, withdraw: "
    somebody.answers(can, "fly")
    somebody.answers(can, "read, withdraw")
    where = "(none: from anywhere): "
    somebody.answers(where, "nowhere")
    somebody.answers(where, "203.0.113.7 198.51.100.0/24")
    assert "Payout1, may read, withdraw, from 203.0.113.7, 198.51.100.0/24." in somebody.sees(GO_ON)
    somebody.type(CTRL_C)
    assert somebody.end() == 130


def test_another_key_is_replaced(ring: Ring, person: Callable[..., Person]) -> None:
    ring.keep("Old1", networks=("203.0.113.7",))
    somebody = person("keys", "create", "--account", "emirex", "--label", "Payout1", "--replaces", "Old1")
    head = somebody.sees(GO_ON)
    assert "Payout1, may withdraw, from 203.0.113.7, in the place of Old1." in head
    somebody.type("\n")
    for _ in range(3):
        somebody.answers(GO_ON)
    ring.make()
    somebody.answers(SECRET, ring.secret)
    somebody.answers(PUBLIC, ring.public)
    assert "\n    enter trusted IPs: 203.0.113.7\n" in somebody.answers(GO_ON)
    somebody.answers(GO_ON)
    somebody.answers(TRY_IT)
    assert somebody.end() == 0, somebody.shown
    _, _, after = somebody.text.partition("The key Old1 is retiring: it gets no new work.")
    assert 'Step 11-12. At the key Old1, press "Delete"' in after
    assert "Then `gateway keys revoke Old1 --account emirex` erases its secret." in after
    assert numbers_of(after) == [11, 12, 14, 13]
    assert {key.label: key.state for key in ring.kept()} == {"Old1": KeyState.RETIRING, "Payout1": KeyState.ACTIVE}
    [new] = [key for key in ring.kept() if key.label == "Payout1"]
    assert (new.permissions, new.networks) == (WITHDRAW, ("203.0.113.7/32",))
    assert ring.secret not in somebody.shown


def test_json_is_the_key_alone_and_the_walk_is_on_standard_error(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person(*CREATE, "--json", stdout=subprocess.PIPE)
    walk_to(somebody, TRY_IT, ring)
    somebody.type("\n")
    assert somebody.child.stdout is not None
    printed = somebody.child.stdout.read().decode()
    assert somebody.end() == 0, somebody.shown
    assert "Step 5." in somebody.shown
    found = json.loads(printed)
    assert (found["label"], found["permissions"], found["state"]) == ("Payout1", ["withdraw"], "active")
    assert ring.secret not in printed + somebody.shown


def test_an_account_with_a_key_in_its_settings_is_told_what_is_missing(
    ring: Ring, person: Callable[..., Person]
) -> None:
    ring.configure()
    somebody = person(*CREATE)
    walk_to(somebody, TRY_IT, ring)
    somebody.type("\n")
    assert somebody.end() == 0, somebody.shown
    assert 'used once accounts.emirex says auth = { kind = "ring" }.' in somebody.shown
    assert [key.label for key in ring.kept()] == ["Payout1"]


def test_another_provider_has_other_steps(ring: Ring, person: Callable[..., Person]) -> None:
    key = f"canary-of-aurex-{ring.number}"
    sandbox = ring.server.sandbox("aurex")
    assert isinstance(sandbox, AurexSandbox)
    sandbox.add_key(key)
    somebody = person("keys", "create", "--account", "aurex", "--label", "second", "--pool", "reseller")
    assert "A key at Aurex for the account aurex: second, from anywhere." in somebody.answers(GO_ON)
    assert "enter markup: that of the pool reseller" in somebody.answers(GO_ON)
    somebody.answers("API key: ", key)
    assert somebody.end() == 0, somebody.shown
    assert "Aurex has accepted the key second" in somebody.text
    assert ring.secrets() == {key}
    assert key not in somebody.shown


def test_the_kind_is_asked_for_where_there_are_several(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person("keys", "create", "--account", "aurpay", "--label", "signing")
    somebody.answers("Kind of key (api-key, signature, callback): ", "callback")
    somebody.answers("Callback secret: ", ring.secret)
    somebody.answers("Callback token: ", "canary-token")
    assert somebody.end() == 0, somebody.shown
    assert "The key signing is kept in the ring of aurpay." in somebody.text
    assert ring.secrets() == {ring.secret, "canary-token"}
    assert "canary" not in somebody.shown


# What is told before the first step


def refused(somebody: Person) -> str:
    assert somebody.end() == 1, somebody.shown
    assert "Step 1." not in somebody.shown
    return somebody.shown


def test_a_label_that_the_provider_does_not_take(ring: Ring, person: Callable[..., Person]) -> None:
    said = refused(person("keys", "create", "--account", "emirex", "--label", "payout1"))
    assert "Emirex takes no label 'payout1': has no upper-case letter" in said


def test_a_label_that_is_taken(ring: Ring, person: Callable[..., Person]) -> None:
    ring.keep("Payout1")
    assert "the ring of emirex has a key 'Payout1' already" in refused(person(*CREATE))


def test_a_vault_that_is_not_there(ring: Ring, person: Callable[..., Person]) -> None:
    ring.configure(vault="other.vault", auth={"kind": "ring"})
    assert "gateway vault init" in refused(person(*CREATE))
    ring.configure(vault="", auth={"kind": "ring"})
    assert "gateway vault init" in refused(person(*CREATE))


def test_a_key_that_could_not_be_verified(ring: Ring, person: Callable[..., Person]) -> None:
    ring.configure(auth={"kind": "ring"}, allow_inferred=["wallets.list"])
    assert 'add "keys.verify" to the account\'s allow_inferred' in refused(person(*CREATE))


def test_a_kind_that_is_not_made_by_hand(ring: Ring, person: Callable[..., Person]) -> None:
    somebody = person("keys", "create", "--account", "aurpay", "--label", "main", "--kind", "login")
    assert "`gateway keys issue --account aurpay --label main` obtains one" in refused(somebody)


def test_without_a_terminal_it_is_misuse(ring: Ring, process: Process) -> None:
    done = process(*CREATE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`gateway keys guide create` tells the steps, and `gateway keys add` keeps a key" in done.stderr
