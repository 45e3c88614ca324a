"""`gateway keys` in a pipe, and with somebody who answers: what it changes, what it asks, and what it never shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.conftest import COMMAND, TIMEOUT, Process
from cli.kept_keys import Ring
from gateway.cli import session
from gateway.cli.app import build
from gateway.engine.drivers import SyncDriver
from gateway.engine.effects import Effect
from gateway.models.keys import ApiKey, KeyState, Permission
from gateway.plugins import load_plugins
from gateway.secrets import HIDDEN
from gateway.store import keys as store_keys
from gateway.testing import SandboxServer, faults
from gateway_aurpay.sandbox.service import PASSWORD, USERNAME
from support.printed import document, failure, fields, rows

EMIREX = ("--account", "emirex")
PAYOUT = ("--permission", "withdraw", "--ip", "203.0.113.7")

Told = Callable[..., Result]


@pytest.fixture
def ring(folder: Path, server: SandboxServer) -> Iterator[Ring]:
    yield Ring(folder, server)
    server.faults("emirex").clear()


@pytest.fixture
def told(ring: Ring) -> Iterator[Told]:
    """`told("keys", "list")` in a pipe, whose other end has these lines. No output had a secret in it."""
    printed: list[str] = []

    def run(*words: str, lines: tuple[str, ...] = (), reveals: bool = False) -> Result:
        text = "".join(f"{line}\n" for line in lines)
        result = CliRunner().invoke(build(load_plugins()), list(words), input=text, prog_name="gateway")
        if not reveals:
            printed.append(result.output)
        return result

    yield run
    assert not [text for text in printed if "canary" in text or PASSWORD in text]
    assert b"canary" not in ring.files()


@pytest.fixture
def asked(told: Told, monkeypatch: pytest.MonkeyPatch) -> Told:
    """The same with somebody there."""
    monkeypatch.setattr(session, "interactive", lambda: True)
    return told


# Looking


def test_keys_are_listed_and_shown_without_their_secret(told: Told, ring: Ring) -> None:
    ring.keep("Payout1", networks=("203.0.113.7", "198.51.100.0/24"))
    [row] = rows(told("keys", "list", *EMIREX))
    assert (row["label"], row["state"], row["permissions"]) == ("Payout1", "active", "withdraw")
    assert row["from"] == "203.0.113.7, 198.51.100.0/24"
    assert {row["account"] for row in rows(told("keys", "list"))} == {"aurex", "aurpay", "emirex"}
    shown = fields(told("keys", "show", "Payout1", *EMIREX))
    assert (shown["public id"], shown["origin"]) == (f"public-Payout1-{ring.number}", "imported")
    found = document(told("keys", "show", "Payout1", *EMIREX, "--json"))
    assert (found["permissions"], found["networks"]) == (["withdraw"], ["203.0.113.7/32", "198.51.100.0/24"])
    error = failure(told("keys", "show", "Payout2", *EMIREX, "--json"))
    assert (error["error"], error["hint"]) == ("NotFound", "`gateway keys list` shows them")


def test_one_key_is_verified_by_its_label(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    assert document(told("keys", "verify", *EMIREX, "--label", "Payout1", "--json")) == {
        "account": "emirex",
        "provider": "emirex",
        "environment": "sandbox",
        "label": "Payout1",
        "verified": True,
    }
    ring.server.faults("emirex").add(faults.Status(status=401, times=2))
    assert failure(told("keys", "verify", *EMIREX, "--label", "Payout1", "--json"))["error"] == "AuthenticationFailed"
    assert [row["state"] for row in rows(told("keys", "list", *EMIREX))] == ["refused"]


def test_the_audit_tells_who_did_what(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    ring.keep("Payout2")
    document(told("keys", "retire", "Payout1", *EMIREX, "--yes", "--json"))
    entries = rows(told("keys", "audit", *EMIREX))
    assert [(entry["action"], entry["label"]) for entry in entries] == [
        ("retired", "Payout1"),
        ("added", "Payout2"),
        ("added", "Payout1"),
    ]
    assert all(entry["actor"] and entry["at"] for entry in entries)
    assert "kind signed, permissions withdraw" in entries[-1]["detail"]
    assert [entry["action"] for entry in rows(told("keys", "audit", "--label", "Payout1"))] == ["retired", "added"]
    assert len(document(told("keys", "audit", "--limit", "1", "--json"))) == 1


# The guide


def test_a_guide_tells_the_steps_and_what_comes_later_apart(told: Told) -> None:
    result = told("keys", "guide", "create", *EMIREX, "--label", "Payout1", *PAYOUT)
    assert result.exit_code == 0, result.output
    now, later = result.stdout.split("\nLater\n")
    assert now.startswith("Emirex, account emirex: make the key Payout1\nIt may: withdraw\nFrom: 203.0.113.7\n")
    assert "\n    page: Profile -> API Management\n    enter label: Payout1\n" in now
    assert "\n    enter trusted IPs: 203.0.113.7\n    tick: withdraw\n" in now
    assert "\n    asked for: e-mail code, one-time code\n" in now
    assert "Step 14. " in now
    assert "Step 11-12. " in later
    assert "Step 13. " in later
    assert "then asks for: public key, private secret key" in later


def as_printed(guide: str, beginning: str) -> list[str]:
    """The command that the guide tells, as a person runs it."""
    [command] = re.findall(rf"`gateway ({beginning} [^`]*)`", guide)
    return shlex.split(command)


def test_the_command_that_a_guide_tells_keeps_the_key_as_it_was_made(told: Told, ring: Ring) -> None:
    said = (*PAYOUT, "--permission", "read", "--ip", "198.51.100.0/24", "--pool", "outgoing")
    guide = told("keys", "guide", "create", *EMIREX, "--label", "Payout1", *said)
    ring.make()
    kept = document(told(*as_printed(guide.stdout, "keys add"), "--json", lines=(ring.public, ring.secret)))
    assert (kept["permissions"], kept["pool"]) == (["read", "withdraw"], "outgoing")
    assert kept["networks"] == ["203.0.113.7/32", "198.51.100.0/24"]


def test_the_command_that_a_guide_tells_names_the_kind_where_there_are_several(told: Told, ring: Ring) -> None:
    ring.configure(account="aurpay", auth={"kind": "ring"})
    aurpay = ("--account", "aurpay")
    guide = told("keys", "guide", "create", *aurpay, "--kind", "callback", "--label", "calls")
    kept = document(told(*as_printed(guide.stdout, "keys add"), "--json", lines=("canary-of-calls", "canary-token")))
    assert (kept["label"], kept["kind"]) == ("calls", "callback")
    guide = told("keys", "guide", "create", *aurpay, "--kind", "login", "--label", "till")
    command = (*as_printed(guide.stdout, "keys issue"), "--username", USERNAME, "--yes", "--json")
    assert document(told(*command, lines=(PASSWORD,)))["label"] == "till"


def test_a_guide_as_a_document_names_the_parts(told: Told) -> None:
    found = document(told("keys", "guide", "create", *EMIREX, "--label", "Payout1", *PAYOUT, "--json"))
    assert list(found["parts"].items()) == [("public_key", "public key"), ("secret", "private secret key")]
    assert [number for step in found["steps"] for number in step["covers"]] == list(range(1, 15))


def test_a_guide_for_what_cannot_be(told: Told) -> None:
    wrong = failure(told("keys", "guide", "create", *EMIREX, "--label", "payout1", "--json"))
    assert wrong["hint"].startswith("its rule: at least one upper-case letter")
    unknown = ("keys", "guide", "revoke", "--account", "aurpay", "--kind", "signature", "--json")
    assert failure(told(*unknown))["error"] == "UnsupportedOperation"
    assert told("keys", "guide", "burn", *EMIREX).exit_code == 2


def test_a_guide_for_a_key_that_the_ring_does_not_have(told: Told) -> None:
    typo = (*EMIREX, "--label", "Typo9x")
    assert "The ring of emirex has no key Typo9x" in told("keys", "guide", "revoke", *typo).stdout
    assert failure(told("keys", "guide", "edit", *typo, "--json"))["error"] == "NotFound"
    assert "has no key" not in told("keys", "guide", "create", *typo).stdout


# Keeping a key that was made


def test_a_key_is_kept_from_standard_input_in_the_order_of_the_guide(told: Told, ring: Ring) -> None:
    ring.make()
    parts = document(told("keys", "guide", "create", *EMIREX, "--json"))["parts"]
    lines = tuple({"public_key": ring.public, "secret": ring.secret}[name] for name in parts)
    before = ring.reads()
    added = ("keys", "add", "Payout1", *EMIREX, *PAYOUT, "--created", "2026-01-31", "--expires", "2999-01-31T12:00:00Z")
    found = document(told(*added, "--json", lines=lines))
    assert ring.reads() == before + 1
    assert (found["label"], found["public_id"], found["created_at"]) == ("Payout1", ring.public, "2026-01-31T00:00:00Z")
    assert (found["expires_at"], found["networks"]) == ("2999-01-31T12:00:00Z", ["203.0.113.7/32"])
    assert found["verified_at"]
    assert ring.secrets() == {ring.secret}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "the public key is missing: nothing was done"),
        (("some-public-key",), "the private secret key is missing: nothing was done"),
        (("some-public-key", "  "), "the private secret key is missing: nothing was done"),
        (("some-public-key", "canary"), "keys.verify: refused"),
    ],
)
def test_a_key_that_is_not_whole_or_not_accepted_is_not_kept(
    told: Told, ring: Ring, lines: tuple[str, ...], said: str
) -> None:
    result = told("keys", "add", "Payout1", *EMIREX, lines=lines)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert (ring.kept(), ring.secrets()) == ([], set())


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"egress": "198.51.100.9"}, "requests come from 198.51.100.9"), ({"allow_inferred": []}, "keys.verify")],
)
def test_a_key_that_cannot_be_read_with_here_is_told_before_its_secret_is_read(
    told: Told, ring: Ring, settings: dict[str, Any], why: str
) -> None:
    ring.keep("Old1", networks=("203.0.113.7",))
    ring.configure(auth={"kind": "ring"}, **settings)
    for command in (("add", "Payout1"), ("rotate", "Old1", "Payout1")):
        error = failure(told("keys", *command, *EMIREX, "--ip", "203.0.113.7", "--json"))
        assert why in error["message"]
        assert error["hint"].endswith("; or --no-check keeps the key without having read with it")


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize(
    "words",
    [
        ("add", "Main1", *EMIREX),
        ("issue", "--account", "aurpay", "--label", "till", "--username", "a@b.example", "--yes"),
    ],
)
def test_a_secret_that_is_no_text_is_an_error_without_it(ring: Ring, words: tuple[str, ...], errors: str) -> None:
    if words[0] == "issue":
        ring.configure(account="aurpay", auth={"kind": "ring"})
    done = subprocess.run(
        [*COMMAND, "keys", *words, "--json"],
        cwd=ring.folder,
        input=b"\xff\xfe-canary-one\n\xff-canary-two\n",
        env={**os.environ, "PYTHONIOENCODING": f"utf-8:{errors}"},
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == b""
    error = json.loads(done.stdout)
    assert (error["error"], error["outcome"]) == ("InvalidRequest", "not_sent")
    assert error["message"] == "what was entered is no text in UTF-8, so nothing was done with it"
    assert b"canary" not in done.stdout
    assert ring.secrets() == set()


def test_a_secret_in_the_environment_that_is_no_text_is_named_and_not_shown(ring: Ring, process: Process) -> None:
    auth = {"kind": "signed", "public_key": "public", "secret": "env:CANARY"}
    ring.configure(auth=auth)
    broken = {"CANARY": "the-\udcff-value"}
    for words in (("wallets", "list", "--account", "emirex", "--json"), ("doctor", "--json")):
        done = process(*words, env=broken)
        assert done.returncode == 1
        assert "the environment variable CANARY is no text in UTF-8" in done.stdout
        assert "Traceback" not in done.stderr
        assert "value" not in done.stdout + done.stderr


def test_what_cannot_be_kept_is_told_before_a_secret_is_read(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    before = ring.reads()
    for words, error in (
        (("payout2", *EMIREX), "InvalidRequest"),
        (("Payout1", *EMIREX), "Conflict"),
        (("Payout2", *EMIREX, "--ip", "nowhere"), "InvalidRequest"),
        (("Payout2", *EMIREX, "--expires", "2020-01-31"), "InvalidRequest"),
        (("second", "--account", "aurex", "--permission", "read"), "InvalidRequest"),
        (("Payout2", "--account", "nobody"), "ConfigurationError"),
    ):
        assert failure(told("keys", "add", *words, "--json"))["error"] == error
    ring.configure(vault="other.vault", auth={"kind": "ring"})
    assert "gateway vault init" in failure(told("keys", "add", "Payout2", *EMIREX, "--json"))["hint"]
    assert ring.reads() == before


def test_a_secret_is_never_an_argument(told: Told, ring: Ring) -> None:
    result = told("keys", "add", "Payout1", ring.secret, *EMIREX, reveals=True)
    assert result.exit_code == 2
    assert ring.kept() == []


def test_a_time_that_is_none_is_misuse(told: Told) -> None:
    result = told("keys", "add", "Payout1", *EMIREX, "--expires", "soon")
    assert result.exit_code == 2
    assert "--expires is no time: 'soon'" in result.stderr


def test_a_key_is_kept_unread_only_when_that_is_asked_for(told: Told, ring: Ring) -> None:
    before = ring.reads()
    found = document(told("keys", "add", "Payout1", *EMIREX, "--no-check", "--json", lines=("new-public", "canary")))
    assert (found["verified_at"], ring.reads()) == (None, before)
    assert ring.secrets() == {"canary"}


def test_that_the_ring_is_not_used_yet_is_told(told: Told, ring: Ring) -> None:
    ring.configure()
    ring.make()
    result = told("keys", "add", "Payout1", *EMIREX, lines=(ring.public, ring.secret))
    assert result.exit_code == 0, result.output
    assert 'used once accounts.emirex says auth = { kind = "ring" }.' in result.stdout


@pytest.mark.parametrize("written", [False, True])
def test_an_interrupt_while_a_key_is_kept_leaves_it_whole_or_not_at_all(
    asked: Told, ring: Ring, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """Ctrl-C in the walk, between the vault and the store, and right after the row is committed."""
    ring.make()
    add, carry_out = store_keys.add, SyncDriver._carry_out
    rows: list[str] = []

    def adds(connection: Any, key: ApiKey, *more: Any) -> None:
        if not written:
            raise KeyboardInterrupt
        add(connection, key, *more)
        rows.append(key.label)

    def carries_out(driver: SyncDriver, effect: Effect) -> Any:
        value = carry_out(driver, effect)
        if rows:
            rows.clear()
            raise KeyboardInterrupt
        return value

    walk = ("keys", "create", *EMIREX, "--label", "Payout1", *PAYOUT)
    lines = ("", "", "", "", ring.secret, ring.public, "", "", "")
    with monkeypatch.context() as patch:
        patch.setattr(store_keys, "add", adds)
        patch.setattr(SyncDriver, "_carry_out", carries_out)
        result = asked(*walk, lines=lines)
    assert result.exit_code == 130, result.output
    said = "the key Payout1 had been kept by then" if written else "nothing was kept"
    assert f"error: interrupted: {said}\n" in result.stderr
    assert [key.label for key in ring.kept()] == (["Payout1"] if written else [])
    assert ring.secrets() == ({ring.secret} if written else set())


# Changing it


def test_a_change_is_recorded_once_somebody_says_that_it_was_made(asked: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    may = ("--permission", "read", "--permission", "withdraw")
    edit = ("keys", "edit", "Payout1", *EMIREX, *may, "--ip", "203.0.113.0/24")
    refused = asked(*edit, lines=("n",))
    assert refused.exit_code == 1
    assert "not confirmed: nothing was done" in refused.stderr
    assert [(key.permissions, key.networks) for key in ring.kept()] == [(frozenset({Permission.WITHDRAW}), None)]
    done = asked(*edit, lines=("y",))
    steps, _, question = done.stderr.partition("\nSource: ")
    assert 'press "Edit permissions"; see that read and withdraw are ticked, and trade is not' in steps
    assert "\n    enter trusted IPs: 203.0.113.0/24\n" in steps
    assert question.endswith("Was the key changed like this at the provider? [y/N] ")
    assert fields(done)["permissions"] == "read, withdraw"
    assert fields(done)["from"] == "203.0.113.0/24"
    assert fields(asked("keys", "edit", "Payout1", *EMIREX, "--any-ip", "--yes"))["from"] == "anywhere"


def test_what_concerns_the_gateway_alone_is_changed_at_once(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    found = document(told("keys", "edit", "Payout1", *EMIREX, "--pool", "slow", "--expires", "2999-01-31", "--json"))
    assert (found["pool"], found["expires_at"]) == ("slow", "2999-01-31T00:00:00Z")
    assert document(told("keys", "edit", "Payout1", *EMIREX, "--no-expiry", "--json"))["expires_at"] is None


def test_a_change_needs_somebody_or_yes(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    words = ("keys", "edit", "Payout1", *EMIREX)
    assert told(*words, "--ip", "203.0.113.7").exit_code == 2
    assert told(*words, "--ip", "203.0.113.7", "--any-ip").exit_code == 2
    assert told(*words, "--expires", "2031-01-31", "--no-expiry").exit_code == 2
    assert "nothing to change was named" in failure(told(*words, "--json"))["message"]
    assert [key.networks for key in ring.kept()] == [None]


def test_retiring_asks_and_tells_what_is_left(asked: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    result = asked("keys", "retire", "Payout1", *EMIREX, lines=("n",))
    assert "no other active key is left" in result.stderr
    assert [key.state for key in ring.kept()] == [KeyState.ACTIVE]
    ring.keep("Payout2")
    result = asked("keys", "retire", "Payout1", *EMIREX, lines=("y",))
    assert "left are Payout2" in result.stderr
    assert fields(result)["state"] == "retiring"


def test_a_retired_key_is_taken_back_into_use(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    ring.keep("Payout2")
    assert fields(told("keys", "retire", "Payout1", *EMIREX, "--yes"))["state"] == "retiring"
    assert fields(told("keys", "revoke", "Payout2", *EMIREX, "--ended", "--force"))["state"] == "revoked"
    assert document(told("keys", "activate", "Payout1", *EMIREX, "--json"))["state"] == "active"
    assert fields(told("keys", "activate", "Payout1", *EMIREX))["state"] == "active"
    refused = failure(told("keys", "activate", "Payout2", *EMIREX, "--json"))
    assert "the key Payout2 is revoked; nothing was changed" in refused["message"]
    assert [(key.state, key.retired_at) for key in ring.kept()] == [("active", None), ("revoked", None)]


def test_a_rotation_tells_how_the_old_key_is_ended(told: Told, ring: Ring) -> None:
    old = ring.keep("Payout1", networks=("203.0.113.7",))
    ring.make()
    result = told("keys", "rotate", "Payout1", "Payout2", *EMIREX, lines=(ring.public, ring.secret))
    assert result.exit_code == 0, result.output
    shown, _, next_steps = result.stdout.partition("\n\n")
    assert "label\tPayout2\n" in shown
    assert "from\t203.0.113.7\n" in shown
    assert next_steps.startswith("The key Payout1 is retiring: it gets no new work.")
    assert 'Step 11-12. At the key Payout1, press "Delete"' in next_steps
    assert "`gateway keys revoke Payout1 --account emirex` erases its secret." in next_steps
    assert {key.label: key.state for key in ring.kept()} == {"Payout1": KeyState.RETIRING, "Payout2": KeyState.ACTIVE}
    assert ring.secrets() == {old, ring.secret}


def test_a_rotation_as_a_document(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    ring.make()
    found = document(told("keys", "rotate", "Payout1", "Payout2", *EMIREX, "--json", lines=(ring.public, ring.secret)))
    assert (found["new"]["label"], found["old"]["state"], found["guide"]["action"]) == ("Payout2", "retiring", "revoke")
    again = failure(told("keys", "rotate", "Payout1", "Payout3", *EMIREX, "--json"))
    assert again["hint"] == "only an active key is replaced"


# Ending it


def test_a_key_is_revoked_once_somebody_says_that_it_was_ended(asked: Told, ring: Ring) -> None:
    secret = ring.keep("Payout1")
    words = ("keys", "revoke", "Payout1", *EMIREX)
    early = asked(*words, lines=("y",))
    assert "retire it first" in early.stderr, "and nobody was sent to end it"
    assert "Step" not in early.stderr
    refused = asked(*words, "--force", lines=("n",))
    assert 'At the key Payout1, press "Delete"' in refused.stderr
    assert refused.stderr.count("Has the key been ended at the provider? [y/N] ") == 1
    assert refused.exit_code == 1
    assert ([key.state for key in ring.kept()], ring.secrets()) == ([KeyState.ACTIVE], {secret})
    done = asked(*words, "--force", lines=("y",))
    assert fields(done)["state"] == "revoked"
    assert ring.secrets() == set()


def test_where_nobody_can_be_asked_it_is_said_that_the_key_was_ended(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    words = ("keys", "revoke", "Payout1", *EMIREX, "--force", "--json")
    assert failure(told(*words))["error"] == "UnsupportedOperation"
    assert document(told(*words, "--ended"))["state"] == "revoked"
    assert ring.secrets() == set()


def test_a_provider_without_known_steps_is_asked_about_too(asked: Told, ring: Ring) -> None:
    words = ("keys", "add", "one", "--account", "aurpay", "--kind", "api-key", "--no-check", "--json")
    document(asked(*words, lines=("canary",)))
    done = asked("keys", "revoke", "one", "--account", "aurpay", "--force", lines=("y",))
    assert "Aurpay ends keys by hand only" in done.stderr
    assert fields(done)["state"] == "revoked"


def test_a_key_is_forgotten_once_it_is_revoked(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    words = ("keys", "delete", "Payout1", *EMIREX, "--json")
    assert failure(told(*words))["error"] == "Conflict"
    document(told("keys", "revoke", "Payout1", *EMIREX, "--force", "--ended", "--json"))
    assert document(told(*words)) == {"account": "emirex", "label": "Payout1", "deleted": True}
    assert ring.kept() == []


def test_the_only_copy_of_an_expired_key_is_not_erased_without_a_question(
    told: Told, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = ring.keep("Payout1", expires_at=datetime.now(UTC) + timedelta(hours=1))
    ring.expire("Payout1")
    delete = ("keys", "delete", "Payout1", *EMIREX)
    nobody = told(*delete)
    assert nobody.exit_code == 2
    assert "hint: add --yes" in nobody.stderr
    monkeypatch.setattr(session, "interactive", lambda: True)
    refused = told(*delete, lines=("n",))
    assert refused.exit_code == 1
    assert "which expired at " in refused.stderr
    assert "erase its secret for good? (`gateway keys edit` corrects a wrong expiry.) [y/N] " in refused.stderr
    assert [key.state for key in ring.kept()] == [KeyState.EXPIRED]
    assert ring.secrets() == {secret}
    monkeypatch.setattr(session, "interactive", lambda: False)
    assert document(told(*delete, "--yes", "--json"))["deleted"] is True
    assert ring.kept() == []
    assert ring.secrets() == set()


def test_all_keys_are_forgotten_when_the_account_is_typed(asked: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    ring.keep("Payout2")
    wrong = asked("keys", "delete-all", *EMIREX, lines=("yes",))
    assert "Forget these keys of emirex (emirex, sandbox) and erase their secrets: Payout1, Payout2." in wrong.stderr
    assert "They stay valid at the provider: `gateway keys guide delete-all --account emirex`." in wrong.stderr
    assert "nothing was changed" in wrong.stderr
    assert "nothing was done" in asked("keys", "delete-all", *EMIREX, lines=("",)).stderr
    assert len(ring.kept()) == len(ring.secrets()) == 2
    assert [row["label"] for row in rows(asked("keys", "delete-all", *EMIREX, lines=("emirex",)))] == [
        "Payout1",
        "Payout2",
    ]
    assert (ring.kept(), ring.secrets()) == ([], set())


def test_where_nobody_can_type_it_the_account_is_confirmed_on_the_line(told: Told, ring: Ring) -> None:
    ring.keep("Payout1")
    assert told("keys", "delete-all", *EMIREX, lines=("emirex",)).exit_code == 2
    assert told("keys", "delete-all", "--confirm", "emirex").exit_code == 2
    assert failure(told("keys", "delete-all", *EMIREX, "--confirm", "aurex", "--json"))["hint"] == "type emirex"
    assert len(ring.kept()) == 1
    gone = document(told("keys", "delete-all", *EMIREX, "--confirm", "emirex", "--json"))
    assert [key["label"] for key in gone] == ["Payout1"]
    assert ring.kept() == []


# Reading it back


def test_a_reveal_asks_and_is_noted(asked: Told, ring: Ring) -> None:
    secret = ring.keep("Payout1")
    words = ("keys", "reveal", "Payout1", *EMIREX, "--reason", "moving house")
    refused = asked(*words, lines=("n",))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert [entry["action"] for entry in rows(asked("keys", "audit", *EMIREX))] == ["added"]
    shown = asked(*words, lines=("y",), reveals=True)
    assert fields(shown) == {"public key": f"public-Payout1-{ring.number}", "secret": secret}
    assert secret not in shown.stderr
    [last, _] = rows(asked("keys", "audit", *EMIREX))
    assert (last["action"], last["detail"]) == ("revealed", "why moving house")


def test_a_reveal_where_nobody_can_be_asked_needs_yes(told: Told, ring: Ring) -> None:
    secret = ring.keep("Payout1")
    refused = told("keys", "reveal", "Payout1", *EMIREX, "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "add --yes" in refused.stderr
    assert document(told("keys", "reveal", "Payout1", *EMIREX, "--yes", "--json", reveals=True)) == {
        "account": "emirex",
        "label": "Payout1",
        "parts": {"public_key": f"public-Payout1-{ring.number}", "secret": secret},
    }


# Obtaining one by a call


def test_an_issued_key_is_kept_with_its_login(told: Told, ring: Ring) -> None:
    ring.configure(account="aurpay", auth={"kind": "ring"})
    words = ("keys", "issue", "--account", "aurpay", "--label", "main", "--username", USERNAME, "--yes")
    found = document(told(*words, "--json", lines=(PASSWORD,)))
    assert (found["label"], found["key"]) == ("main", HIDDEN)
    assert found["expires_at"]
    assert ring.secrets() == {PASSWORD}
    [row] = rows(told("keys", "list", "--account", "aurpay"))
    assert (row["label"], row["origin"], row["state"]) == ("main", "issued", "active")


def test_an_issued_key_asks_for_the_login(asked: Told, ring: Ring) -> None:
    ring.configure(account="aurpay", auth={"kind": "ring"})
    words = ("keys", "issue", "--account", "aurpay", "--label", "main")
    result = asked(*words, lines=("y", USERNAME, PASSWORD))
    assert "Issue a new key for aurpay (aurpay, sandbox), and keep it as main? [y/N] " in result.stderr
    assert fields(result)["key"] == HIDDEN
    assert ring.secrets() == {PASSWORD}


def test_a_login_that_is_refused_keeps_nothing(told: Told, ring: Ring) -> None:
    ring.configure(account="aurpay", auth={"kind": "ring"})
    words = ("keys", "issue", "--account", "aurpay", "--label", "main", "--yes")
    nobody = told(*words, lines=(PASSWORD,))
    assert nobody.exit_code == 2
    assert "--username" in nobody.stderr
    error = failure(told(*words, "--username", USERNAME, "--json", lines=("canary-wrong",)))
    assert error["error"] == "AuthenticationFailed"
    assert ring.secrets() == set()


# The shell


def test_labels_are_offered(told: Told, ring: Ring, process: Process) -> None:
    ring.keep("Payout1")
    ring.keep("Read1")
    words = {"_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": "gateway keys reveal P", "COMP_CWORD": "3"}
    done = process(env=words)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["Payout1"], "")
