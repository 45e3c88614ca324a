"""`gateway demo`: what it proves when all is well, and that it fails when something is not."""

from __future__ import annotations

import ast
import inspect
import io
import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway import Money, OrderRequest, OrderStatus
from gateway.cli.app import build
from gateway.cli.demo import STORIES, checkout
from gateway.cli.demo.player import Result, play
from gateway.cli.demo.script import Script, Step, Stopped
from gateway.cli.demo.show import Silence, Terminal
from gateway.cli.demo.stage import Stage, own_environment
from gateway.errors import ConfigurationError, Conflict, GatewayError, IdempotencyConflict, UnsupportedOperation
from gateway.plugins import load_plugins
from gateway.testing import SandboxOrder, installed_sandboxes
from toy_sandbox import ToySandbox

DEMO = [sys.executable, "-m", "gateway.cli", "demo"]
A_SLOW_MACHINE = 120

STEPS = """
what the account can do: shop backup kiosk cards treasury
customer made known: cards
wallets before: shop backup kiosk cards treasury
checkout: shop backup kiosk cards
checkout refused: treasury
Lightning order: shop backup kiosk
underpaid order: shop
expired order: shop
renewed order: shop
renewed order paid: shop
wallets after: shop backup kiosk cards treasury
Lightning payout: shop
the same payout again: shop
payout above the limit: shop
payout whose answer is lost: shop
the lost payout again: shop
the lost payout settled: shop
card issued: cards
card topped up: cards
market read: treasury
trade placed: treasury
trade cancelled: treasury
checkout by the route: shop
checkout, other account: backup
checkout, other provider: cards
books: orders: - -
books: all other writes: -
nothing left open: -
"""


def expected_steps() -> list[tuple[str, str | None]]:
    lines = [line.rpartition(": ") for line in STEPS.strip().splitlines()]
    return [(name, None if account == "-" else account) for name, _, all_of in lines for account in all_of.split()]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo's processes make their temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def environment(temporary: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(temporary), **more}


def left_in(folder: Path) -> list[str]:
    # Coverage of child processes leaves its data where they run.
    return [path.name for path in folder.iterdir() if not path.name.startswith(".coverage")]


def test_the_whole_story_as_one_document(temporary: Path, users_folder: Path) -> None:
    """The user's own settings would break it or be broken by it, if it heeded them."""
    users_store = users_folder.parent / "users.db"
    done = subprocess.run(
        [*DEMO, "--json"],
        capture_output=True,
        text=True,
        timeout=A_SLOW_MACHINE,
        cwd=users_folder,
        env=environment(
            temporary,
            GATEWAY_STORE=f"sqlite:///{users_store}",
            GATEWAY_ACCOUNTS__SHOP__PROVIDER="nobody",
            GATEWAY_ACCOUNTS__SHOP__LIMITS='{"frozen": true}',
            GATEWAY_ROUTES='[{"operation": "orders.create", "accounts": ["nobody"]}]',
            GATEWAY_PLUGINS="none-of-these",
        ),
    )
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert document["ok"] is True
    assert document["story"] == "payments"
    assert "imitations" in document["notice"]
    assert 0 < document["seconds"] < A_SLOW_MACHINE
    assert [(step["name"], step["account"]) for step in document["steps"]] == expected_steps()
    for step in document["steps"]:
        assert step["ok"] is True
        assert step["expected"]
        assert step["got"]
        assert step["seconds"] >= 0
        assert (step["account"] is None) or step["provider"]
    assert left_in(temporary) == left_in(users_folder) == []
    assert not users_store.exists()


def test_in_a_pipe_it_is_plain_lines(temporary: Path, users_folder: Path) -> None:
    done = subprocess.run(
        DEMO,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=A_SLOW_MACHINE,
        cwd=users_folder,
        env=environment(temporary, PYTHONIOENCODING="utf-8", COLUMNS="40"),
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f█]", done.stdout)
    assert "imitations" in lines[0]
    assert "Nothing leaves this machine" in lines[1]
    assert "checked against the live services" in lines[1]
    assert sum(line.startswith("ok   ") for line in lines) == len(expected_steps())
    assert re.search(r"^ .*: bitcoin:\w+\?amount=0\.\d+$", done.stdout, re.MULTILINE)
    assert re.fullmatch(rf"{len(expected_steps())} steps in [\d.]+ s, everything as expected\.", lines[-1])


def terminal_output(process: subprocess.Popen[bytes], terminal: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed, on Linux
            part = b""
        if not part:
            process.wait(A_SLOW_MACHINE)
            return
        yield part


def on_terminal(temporary: Path, users_folder: Path, *, interrupt_at: bytes | None = None) -> tuple[int, str]:
    terminal, theirs = pty.openpty()
    env = environment(temporary, TERM="xterm-256color", COLUMNS="120", LINES="24", PYTHONIOENCODING="utf-8")
    env.pop("NO_COLOR", None)
    process = subprocess.Popen(DEMO, stdin=theirs, stdout=theirs, stderr=theirs, cwd=users_folder, env=env)
    os.close(theirs)
    shown = b""
    with process:
        for part in terminal_output(process, terminal):
            shown += part
            if interrupt_at is not None and interrupt_at in shown:
                process.send_signal(signal.SIGINT)
                interrupt_at = None
    os.close(terminal)
    return process.returncode, shown.decode()


def test_on_a_terminal_it_is_a_live_table_with_a_qr_code(temporary: Path, users_folder: Path) -> None:
    status, shown = on_terminal(temporary, users_folder)
    assert status == 0
    assert "what happened" in shown
    assert shown.count("✓") == len(expected_steps())
    assert "✗" not in shown
    assert "▀" in shown
    assert "▄" in shown
    assert "everything as expected" in shown
    assert "\x1b[?25h" in shown  # the cursor is back


def test_ctrl_c_stops_it_cleanly(temporary: Path, users_folder: Path) -> None:
    status, shown = on_terminal(temporary, users_folder, interrupt_at=b"wallets before")
    assert status == 130
    assert "Traceback" not in shown
    assert "nothing left open" not in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert left_in(temporary) == []


def test_an_unknown_story() -> None:
    result = CliRunner().invoke(build(load_plugins()), ["demo", "fairy-tale"])
    assert result.exit_code == 2
    assert "no story 'fairy-tale'" in result.stderr
    assert "payments" in result.stderr
    assert result.stdout == ""


# What must not go unnoticed. Every sandbox below is broken in one place.


def patch(monkeypatch: pytest.MonkeyPatch, provider: str, name: str, value: Any) -> None:
    (sandbox,) = installed_sandboxes([provider])
    monkeypatch.setattr(type(sandbox), name, value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "_PATIENCE_SECONDS", 0)


def never_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch, "aurpay", "pay", lambda self, order, how: None)


def paid_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    (sandbox,) = installed_sandboxes(["aurpay"])
    truth = type(sandbox).ledger

    def ledger(self: Any) -> dict[str, Any]:
        books = truth(self)
        return {**books, "payouts": books["payouts"] * 2}

    patch(monkeypatch, "aurpay", "ledger", ledger)


def more_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    (sandbox,) = installed_sandboxes(["aurex"])
    truth = type(sandbox)._create_card  # type: ignore[attr-defined]

    def create_card(self: Any, call: Any) -> Any:
        issued = truth(self, call)
        return {**issued, "balance": issued["balance"] - 1}

    patch(monkeypatch, "aurex", "_create_card", create_card)


def one_order_more(monkeypatch: pytest.MonkeyPatch) -> None:
    (sandbox,) = installed_sandboxes(["aurex"])
    truth = type(sandbox).orders

    def orders(self: Any) -> list[SandboxOrder]:
        found = truth(self)
        return [*found, *found[:1]]

    patch(monkeypatch, "aurex", "orders", orders)


@pytest.mark.parametrize(
    "break_it, step, expected, got",
    [
        (never_paid, "checkout", "the order after it was paid: paid", "the order after it was paid: pending"),
        (
            paid_twice,
            "Lightning payout",
            "times paid, by the sandbox's books: 1",
            "times paid, by the sandbox's books: 2",
        ),
        (more_than_asked, "card issued", "balance: 25.00 USD", "balance: 24 USD"),
        (one_order_more, "books: orders", "numbers of orders: ", "numbers of orders: "),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_wrong_answer_ends_the_story(
    monkeypatch: pytest.MonkeyPatch, break_it: Any, step: str, expected: str, got: str
) -> None:
    break_it(monkeypatch)
    result = CliRunner().invoke(build(load_plugins()), ["demo", "--json"])
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["ok"] is False
    last = document["steps"][-1]
    assert last["name"] == step
    assert last["expected"].startswith(expected)
    assert last["got"].startswith(got)
    assert last["expected"] != last["got"]
    assert [each["name"] for each in document["steps"] if not each["ok"]] == [step]


@pytest.mark.usefixtures("impatient")
def test_the_failed_expectation_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    never_paid(monkeypatch)
    result = CliRunner().invoke(build(load_plugins()), ["demo"])
    assert result.exit_code == 1
    assert "FAIL checkout" in result.stdout
    assert "expected: the order after it was paid: paid" in result.stdout
    assert result.stdout.rstrip().endswith("not as expected: checkout. The steps after it were not run.")


def test_a_provider_that_is_not_installed() -> None:
    sandboxes = installed_sandboxes(["aurex", "emirex"])
    with pytest.raises(ConfigurationError, match="needs the provider aurpay"):
        play(STORIES["payments"], Silence(), sandboxes)


def test_a_story_without_steps_has_shown_nothing() -> None:
    result = Result(0.0, [])
    assert not result.ok
    assert result.summary() == "The story has no steps."


def test_a_further_provider_gets_an_account() -> None:
    with Stage([*installed_sandboxes(), ToySandbox()]) as stage:
        assert list(stage.accounts) == ["shop", "backup", "kiosk", "cards", "treasury", "toy"]
        assert stage.provider("toy") == "toy"
        assert stage.accounts["toy"]["environment"] == "sandbox"


def test_the_checkout_names_no_provider() -> None:
    source = inspect.getsource(checkout)
    providers = load_plugins().providers.values()
    assert len(providers) >= 3
    for provider in providers:
        assert provider.name not in source.lower()
        assert provider.title.lower() not in source.lower()
    imported = [node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    assert {name for name in imported if name and name.startswith("gateway")} == {"gateway", "gateway.errors"}


class SlowPayer:
    """Stands in for a gateway whose order is paid at the third look."""

    def __init__(self) -> None:
        self.orders = self
        self.looks = 0

    def create(self, request: OrderRequest, *, account: str | None) -> str:
        assert account == "shop"
        return request.reference

    def get(self, reference: str) -> Any:
        self.looks += 1
        status = OrderStatus.PAID if self.looks == 3 else OrderStatus.PENDING
        return SimpleNamespace(reference=reference, status=status)


def test_the_checkout_looks_again_until_it_is_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[object] = []
    monkeypatch.setattr(checkout, "time", SimpleNamespace(sleep=pauses.append, monotonic=lambda: 0))
    gateway: Any = SlowPayer()
    shown: list[object] = []
    purchase = checkout.Purchase(reference="cart-1", price=Money("1.00", "USD"), coins=["USDT@tron"])
    order = checkout.check_out(gateway, purchase, shown.append, account="shop")
    assert order.status is OrderStatus.PAID
    assert shown == ["cart-1"]
    assert (gateway.looks, len(pauses)) == (3, 2)


def test_the_checkout_of_a_shop_without_coins() -> None:
    gateway: Any = SlowPayer()
    purchase = checkout.Purchase(reference="cart-1", price=Money("1.00", "USD"), coins=[])
    with pytest.raises(UnsupportedOperation, match="no coins"):
        checkout.check_out(gateway, purchase, lambda order: None, account="shop")


# Steps


class Recorder(Silence):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def began(self, step: Step) -> None:
        self.heard.append(f"began {step.name}")

    def ended(self, step: Step) -> None:
        self.heard.append(f"ended {step.name}: {step.expected} | {step.got}")


def raising(error: Exception) -> Any:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    "act, expected, got",
    [
        (lambda step: step.check("number", 2, 1), "number: 1", "number: 2"),
        (lambda step: step.holds("it rains", False, "sun"), "it rains: so", "it rains: sun"),
        (lambda step: step.present("a card", None), "a card: there", "a card: missing"),
        (
            lambda step: step.raises(Conflict, lambda: 1),
            "the call raises: Conflict",
            "the call raises: nothing; it returned a int",
        ),
        (
            lambda step: step.raises(Conflict, raising(GatewayError("no"))),
            "the call raises: Conflict",
            "the call raises: GatewayError: no",
        ),
        (  # not even a subclass of it
            lambda step: step.raises(Conflict, raising(IdempotencyConflict("no"))),
            "the call raises: Conflict",
            "the call raises: IdempotencyConflict: no",
        ),
        (lambda step: raising(ValueError("odd"))(), "all well", "ValueError: odd"),
    ],
)
def test_what_a_step_says_when_it_fails(act: Any, expected: str, got: str) -> None:
    audience = Recorder()
    script = Script(audience)
    with pytest.raises(Stopped), script.step("this", expect="all well") as step:
        act(step)
    assert (step.ok, step.expected, step.got) == (False, expected, got)
    assert audience.heard == ["began this", f"ended this: {expected} | {got}"]


def test_a_step_that_goes_well_keeps_what_was_logged() -> None:
    audience = Recorder()
    script = Script(audience)
    with script.step("this", expect="all well", account="shop") as step:
        step.check("number", 1, 1)
        step.holds("so", True)
        assert step.present("a text", "x") == "x"
        assert isinstance(step.raises(Conflict, raising(Conflict("no"))), Conflict)
        logging.getLogger("gateway").warning("look at %s", "this")
        step.got = "fine"
    logging.getLogger("gateway.x").debug("after")
    assert script.steps == [step]
    assert step.to_dict() == {
        "name": "this",
        "account": "shop",
        "provider": None,
        "operation": None,
        "ok": True,
        "expected": "all well",
        "got": "fine",
        "seconds": round(step.seconds, 3),
        "log": ["look at this"],
    }
    assert audience.heard == ["began this", "ended this: all well | fine"]


def test_an_interrupted_step_has_not_ended() -> None:
    audience = Recorder()
    with pytest.raises(KeyboardInterrupt), Script(audience).step("this", expect="all well") as step:
        raise KeyboardInterrupt
    assert not step.ok
    assert audience.heard == ["began this"]


def test_the_users_variables_are_hidden_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_STORE", "theirs")
    monkeypatch.setenv("OTHER", "theirs")
    with own_environment():
        assert "GATEWAY_STORE" not in os.environ
        assert os.environ["OTHER"] == "theirs"
    assert os.environ["GATEWAY_STORE"] == "theirs"
    with pytest.raises(ValueError), own_environment():  # noqa: PT011 - ours
        raise ValueError
    assert os.environ["GATEWAY_STORE"] == "theirs"


@pytest.mark.parametrize("width, where", [(120, "shop (aurpay)"), (70, "shop  ")])
def test_a_failed_step_in_the_table(width: int, where: str) -> None:
    drawn = io.StringIO()
    screen = Terminal(Console(file=drawn, force_terminal=True, width=width, color_system=None))
    script = Script(screen)
    with screen:
        with script.step("first", account="shop", provider="aurpay", expect="all well") as step:
            step.got = "a control \x1b[31m character"
        with pytest.raises(Stopped), script.step("second", provider="aurpay", expect="all well") as step:
            step.check("number", 2, 1)
        with pytest.raises(Stopped), script.step("third", expect="all well") as step:
            step.holds("so", False)
    shown = drawn.getvalue()
    assert where in shown
    assert r"\x1b[31m" in shown
    assert "\x1b[31m" not in shown
    assert (shown.count("✓"), shown.count("✗")) == (1, 2)
    assert "expected: number: 1" in shown


def test_a_table_below_a_step() -> None:
    rows = [{"key": "one", "may": "read"}, {"key": "a longer one", "may": "\x1b[31m"}]
    drawn = io.StringIO()
    screen = Terminal(Console(file=drawn, force_terminal=True, width=120, color_system=None))
    script = Script(screen)
    with screen, script.step("first", expect="all well") as step:
        step.table = rows
    assert step.to_dict()["table"] == rows
    assert "  key           may\n  one           read\n  a longer one  \\x1b[31m\n" in drawn.getvalue().replace(
        "\r", ""
    )
