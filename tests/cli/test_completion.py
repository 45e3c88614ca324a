"""Completion: what each shell is told, by the protocol that its script speaks; and a real bash that has the script."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.conftest import TIMEOUT, Process
from gateway import CustomerRequest, Gateway, LightningInvoice, Money, OrderRequest, WithdrawalRequest
from gateway.cli import main
from gateway.cli.demo import STORIES
from gateway.cli.shells import BASH, take_line
from gateway.errors import OutcomeUnknown
from gateway.models.orders import OrderStatus
from gateway.testing import SandboxServer, faults

SHELLS = ["bash", "zsh", "fish"]
BACKSLASHES = 2 * "\\"


def asking(shell: str, line: str) -> dict[str, str]:
    """What the shell's script sets for the command, when `line` is typed up to the cursor."""
    variables = {"_GATEWAY_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        words = re.findall(r"""(?:[^\s"']|"[^"]*"?|'[^']*'?)+""", line)
        between = line.endswith(" ") and words[-1].count('"') % 2 == 0
        return {**variables, "COMP_WORDS": line, "COMP_CWORD": str(len(words) - (not between))}
    return {**variables, "_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


def told(shell: str, output: str) -> list[str]:
    """The values in what the command answered."""
    if shell == "zsh":
        if output == "_files\n":
            return []
        listed = re.fullmatch(r"_arguments '\*: :\(\((.*)\)\)'\n", output, re.DOTALL)
        assert listed, output
        return [re.split('":?"?', line)[1].replace("\\\\:", ":") for line in listed[1].split("\n")]
    return [line.split("\t")[0] for line in output.splitlines() if line]


@pytest.fixture
def offers(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """The candidates for a line, by the command's own way in, in this process. Nothing else is ever said."""

    def ask(line: str, *, shell: str = "bash", env: dict[str, str] | None = None) -> list[str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**asking(shell, line), **(env or {})}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["gateway"])
            patch.setattr(sys, "stderr", sys.stderr)
            before = sys.stderr
            with pytest.raises(SystemExit):
                sys.exit(main())
            assert sys.stderr is not before, "what it complains of would be seen"
            sys.stderr.close()
        said = capsys.readouterr()
        assert said.err == ""
        return told(shell, said.out)

    return ask


@pytest.fixture(scope="module")
def kept(server: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with orders, one of them paid, payouts, one of unknown outcome, and a customer."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from gateway.testing.lightning import encode_invoice

    def invoice(text: str) -> LightningInvoice:
        secret = text.encode().ljust(32, b"!")
        made = encode_invoice(
            ec.generate_private_key(ec.SECP256K1()),
            payment_hash=secret,
            payment_secret=secret,
            created_at=server.sandbox("aurpay").clock.now(),
            amount=Money("0.0002", "BTC@lightning"),
            network="testnet",
            description=text,
        )
        return LightningInvoice(made)

    folder = tmp_path_factory.mktemp("kept")
    with Gateway(accounts=server.accounts(), store=f"sqlite:///{folder / 'gateway.db'}") as gateway:
        for reference in ("cart-1", "cart-2", "other:3"):
            order = OrderRequest(reference=reference, price=Money("25.00", "USD"))
            made = gateway.orders.create(order, account="aurpay")
        server.pay("aurpay", str(made.provider_id))
        assert gateway.orders.get("other:3").status is OrderStatus.PAID
        for reference in ("payout-1", "payout-2"):
            payout = WithdrawalRequest(
                reference=reference, amount=Money("0.0002", "BTC@lightning"), to=invoice(reference)
            )
            if reference == "payout-2":
                server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
            with contextlib.suppress(OutcomeUnknown):
                gateway.withdrawals.create(payout, account="aurpay")
        gateway.customers.create(CustomerRequest(reference="c-42", first_name="A", last_name="L"), account="aurex")
    return folder / "gateway.db"


@pytest.fixture
def stocked(shop: Path, kept: Path) -> Path:
    """The shop's folder with that store."""
    shutil.copy(kept, shop / "gateway.db")
    return shop


# What is offered


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gateway orders re", ["renew"]),
        ("gateway cards sh", ["show"]),
        ("gateway cards show 1 --rev", ["--reveal"]),
        ("gateway trades create --side ", ["buy", "sell"]),
        ("gateway trades create --kind st", ["stop-limit"]),
        ("gateway currencies --kind ", ["fiat", "crypto"]),
        ("gateway store export --table w", ["withdrawals"]),
        ("gateway --show-completion f", ["fish"]),
        ("gateway wallets list --account ", ["aurex", "aurpay", "emirex"]),
        ("gateway wallets list --account aur", ["aurex", "aurpay"]),
        ("gateway freeze em", ["emirex"]),
        ("gateway capabilities --provider e", ["emirex"]),
        ("gateway sandbox --provider aurex --provider aurp", ["aurpay"]),
        ("gateway orders get ", ["other:3", "cart-2", "cart-1"]),
        ("gateway orders get cart-", ["cart-2", "cart-1"]),
        ("gateway orders watch other", ["other:3"]),
        ("gateway orders renew nothing", []),
        ("gateway refunds create --order ", ["other:3"]),
        ("gateway withdrawals get ", ["payout-2", "payout-1"]),
        ("gateway journal settle ", ["payout-2"]),
        ("gateway journal show c", ["c-42", "cart-2", "cart-1"]),
        ("gateway orders fetch --customer ", ["c-42"]),
        ("gateway orders create --pay-with USDT@t", ["USDT@tron"]),
        ("gateway orders create --pay-with BTC@l", ["BTC@lightning"]),
        ("gateway orders create --pay-with USDT", {"USDT@tron", "USDT@ethereum"}),
        ('gateway orders create --price "25.00 US', {"25.00 USD", "25.00 USDT@tron"}),
        ('gateway orders create --price "25 ', {"25 EUR", "25 BTC@lightning"}),
        ("gateway refunds create --amount 1.5", {"1.5 USD", "1.5 EUR"}),
        ("gateway orders create --price 'x U", []),
        ("gateway orders create --pay-with EU", []),
        ("gateway orders list --status p", ["pending", "processing", "paid"]),
        ("gateway withdrawals list --status unc", ["unconfirmed"]),
        ("gateway demo ", list(STORIES)),
    ],
)
def test_values_are_completed(
    offers: Callable[..., list[str]], stocked: Path, shell: str, line: str, offered: list[str] | set[str]
) -> None:
    found = offers(line, shell=shell)
    if isinstance(offered, set):
        assert offered <= set(found)
    else:
        assert found == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_asks_a_process(process: Process, stocked: Path, shell: str) -> None:
    for line, value, word in (
        ("gateway orders get other", "other:3", "paid"),
        ("gateway wallets list --account aurp", "aurpay", "aurpay"),
    ):
        done = process(env=asking(shell, line))
        assert (done.returncode, done.stderr) == (0, "")
        assert told(shell, done.stdout) == [value]
        # How sure one can be of it is said where the shell can show it.
        told_with = {
            "bash": value,
            "fish": f"{value}\t{word}",
            "zsh": f'"{value.replace(":", BACKSLASHES + ":")}":"{word}"',
        }
        assert told_with[shell] in done.stdout


def test_fish_is_told_whether_there_is_anything(process: Process, stocked: Path) -> None:
    for line, status in (("gateway orders get cart", 0), ("gateway orders get nothing", 1)):
        done = process(env={**asking("fish", line), "_TYPER_COMPLETE_FISH_ACTION": "is-args"})
        assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_the_configuration_that_the_line_names(offers: Callable[..., list[str]], folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.toml").write_text(f'[accounts.{name}]\nprovider = "aurpay"\n', encoding="utf-8")
    assert offers("gateway freeze ") == []
    assert offers("gateway freeze --config one.toml ") == ["one"]
    assert offers("gateway --config two.toml freeze ") == ["two"]
    assert offers("gateway freeze ", env={"GATEWAY_CONFIG": "one.toml"}) == ["one"]
    assert offers("gateway freeze --config two.toml ", env={"GATEWAY_CONFIG": "one.toml"}) == ["two"]
    assert offers("gateway freeze ", env={"GATEWAY_ACCOUNTS__THREE__PROVIDER": "aurpay"}) == ["three"]
    assert offers("gateway freeze --config ~/one.toml ", env={"HOME": str(folder)}) == ["one"]


# What is not


def test_nothing_is_asked_resolved_or_changed(
    offers: Callable[..., list[str]], stocked: Path, server: SandboxServer
) -> None:
    text = (stocked / "gateway.toml").read_text(encoding="utf-8")
    secret = 'callback_key = "env:NOT_SET"\n'
    (stocked / "gateway.toml").write_text(secret + text, encoding="utf-8")
    before = {path.name: path.read_bytes() for path in stocked.iterdir() if path.is_file()}
    calls = {name: len(seen) for name, seen in server.requests.items()}
    assert offers("gateway freeze a") == ["aurex", "aurpay"]
    assert offers("gateway orders get cart-") == ["cart-2", "cart-1"]
    assert {path.name: path.read_bytes() for path in stocked.iterdir() if path.is_file()} == before
    assert {name: len(seen) for name, seen in server.requests.items()} == calls


def test_a_store_that_others_are_writing_to(offers: Callable[..., list[str]], stocked: Path) -> None:
    with contextlib.closing(sqlite3.connect(stocked / "gateway.db", isolation_level=None)) as other:
        other.execute("UPDATE orders SET reference = 'cart-3' WHERE reference = 'cart-2'")
        other.execute("BEGIN IMMEDIATE")
        assert offers("gateway orders get cart-") == ["cart-3", "cart-1"]


def test_many_references_are_bounded(offers: Callable[..., list[str]], stocked: Path) -> None:
    with contextlib.closing(sqlite3.connect(stocked / "gateway.db")) as connection, connection:
        connection.executemany(
            "INSERT INTO orders (reference, environment, settles_to, status, request, created_at, updated_at)"
            " SELECT ?, environment, settles_to, status, request, created_at, updated_at FROM orders LIMIT 1",
            [(f"many-{number:05}",) for number in range(20_000)],
        )
    assert offers("gateway orders get ") == [f"many-{number}" for number in range(19_999, 19_899, -1)]
    assert offers("gateway orders get many-00") == [f"many-{number:05}" for number in range(100)]
    assert offers("gateway orders get cart-") == ["cart-1", "cart-2"]  # not among the newest


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_shell_could_take_for_more_than_text_is_not_offered(
    offers: Callable[..., list[str]], stocked: Path, shell: str
) -> None:
    odd = [
        "$(id)",
        "\\$(id)",
        "`id`",
        "a'b",
        'a"b',
        "a;b",
        "a*",
        "a|b",
        "-x",
        "~x",
        "a)b",
        "a&b",
        "!x",
        "a\\b",
        "{a,b}",
    ]
    with contextlib.closing(sqlite3.connect(stocked / "gateway.db")) as connection, connection:
        for reference in odd:
            connection.execute(
                "INSERT INTO orders (reference, environment, settles_to, status, request, created_at, updated_at)"
                " SELECT ?, environment, settles_to, status, request, created_at, updated_at FROM orders LIMIT 1",
                (reference,),
            )
    text = '[accounts."$(id)"]\nprovider = "aurpay"\n[accounts.fine]\nprovider = "a$(id)"\n'
    (stocked / "gateway.toml").write_text(text, encoding="utf-8")
    assert offers("gateway orders get ", shell=shell) == ["other:3", "cart-2", "cart-1"]
    assert offers("gateway freeze ", shell=shell) == ["fine"]


def broken_configuration(folder: Path) -> None:
    (folder / "gateway.toml").write_text("accounts = [", encoding="utf-8")


def odd_configuration(folder: Path) -> None:
    (folder / "gateway.toml").write_text("store = 5\naccounts = [1]\n", encoding="utf-8")


def no_configuration(folder: Path) -> None:
    (folder / "gateway.toml").unlink()


def no_store(folder: Path) -> None:
    (folder / "gateway.db").unlink()


def damaged_store(folder: Path) -> None:
    (folder / "gateway.db").write_bytes(b"no database " * 1000)


def another_schema(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "gateway.db")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DROP TABLE orders")


def store_elsewhere(folder: Path) -> None:
    text = (folder / "gateway.toml").read_text(encoding="utf-8")
    (folder / "gateway.toml").write_text('store = "postgresql://127.0.0.1:1/shop"\n' + text, encoding="utf-8")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "breaks",
    [
        broken_configuration,
        odd_configuration,
        no_configuration,
        no_store,
        damaged_store,
        another_schema,
        store_elsewhere,
    ],
)
def test_failures_offer_nothing_and_say_nothing(
    offers: Callable[..., list[str]], stocked: Path, shell: str, breaks: Callable[[Path], None]
) -> None:
    breaks(stocked)
    assert offers("gateway orders get ", shell=shell) == []
    # What needs none of it is there all the same.
    assert offers("gateway orders re", shell=shell) == ["renew"]


def test_a_locked_store_is_not_waited_for(offers: Callable[..., list[str]], stocked: Path) -> None:
    with contextlib.closing(sqlite3.connect(stocked / "gateway.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("UPDATE orders SET reference = 'cart-3' WHERE reference = 'cart-2'")
        start = time.monotonic()
        assert offers("gateway orders get cart-") == []
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("shell", SHELLS)
def test_a_plugin_that_breaks_everything_says_nothing(
    process: Process, stocked: Path, tmp_path: Path, shell: str
) -> None:
    info = tmp_path / "site" / "acme_broken-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[gateway]\nbroken = acme_that_is_not_there\n", encoding="utf-8")
    path = os.pathsep.join([str(info.parent), os.environ["PYTHONPATH"]])
    env = {**asking(shell, "gateway orders get cart-"), "PYTHONPATH": path}
    done = process(env=env)
    assert (told(shell, done.stdout), done.stderr) == (["cart-2", "cart-1"], "")
    strict = process(env={**env, "GATEWAY_STRICT_PLUGINS": "1"})
    assert (strict.returncode, strict.stdout, strict.stderr) == (1, "", "")


def test_a_missing_extra_says_nothing(folder: Path) -> None:
    code = "import sys; sys.modules['typer'] = None; from gateway.cli import main; sys.exit(main())"
    env = {**os.environ, **asking("bash", "gateway orders re")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ('gateway x --price "25 ', 'gateway x --price "25'),
        ("gateway x --price '25  ", "gateway x --price '25"),
        ("gateway x --price 25\\ ", "gateway x --price 25"),
        ('gateway x --price "25 USD" ', 'gateway x --price "25 USD" '),
        ("gateway x ", "gateway x "),
        ("gateway x", "gateway x"),
        ("", ""),
    ],
)
def test_a_space_belongs_to_a_word_that_is_open(line: str, taken: str) -> None:
    environment = {"_TYPER_COMPLETE_ARGS": line}
    take_line(environment)
    assert environment == {"_TYPER_COMPLETE_ARGS": taken}


# Switching it on


def test_each_shell_gets_its_script(process: Process) -> None:
    for shell, says in (
        ("bash", "complete -o default -F"),
        ("zsh", "#compdef gateway"),
        ("fish", "complete --command"),
    ):
        done = process("--show-completion", shell)
        assert (done.returncode, done.stderr) == (0, "")
        assert says in done.stdout
        assert "_GATEWAY_COMPLETE" in done.stdout


def test_the_script_is_installed_once(process: Process, folder: Path) -> None:
    settings, env = folder / ".bashrc", {"HOME": str(folder)}
    settings.write_text("alias ll='ls -l'", encoding="utf-8")
    script = folder / ".bash_completions" / "gateway.sh"
    for _ in range(2):
        done = process("--install-completion", "bash", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert str(script) in done.stdout
        assert script.read_text(encoding="utf-8") == BASH
        assert settings.read_text(encoding="utf-8") == f"alias ll='ls -l'\nsource {shlex.quote(str(script))}\n"


@pytest.mark.parametrize(
    ("shell", "file"), [("zsh", ".zfunc/_gateway"), ("fish", ".config/fish/completions/gateway.fish")]
)
def test_the_other_shells_scripts_are_installed(process: Process, folder: Path, shell: str, file: str) -> None:
    done = process("--install-completion", shell, env={"HOME": str(folder)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "_GATEWAY_COMPLETE" in (folder / file).read_text(encoding="utf-8")


# A real bash

PROMPT = "ready> "
PRINTS_ITS_WORDS = f"""#!/bin/sh
if [ -n "$_GATEWAY_COMPLETE" ] || [ "$1" = --show-completion ]; then
    exec {shlex.quote(sys.executable)} -m gateway.cli "$@"
fi
printf '<%s>\\n' begin "$@" end
"""


class Bash:
    """An interactive bash on a pseudo-terminal, which has sourced the script that the command prints.

    Its `gateway` completes as ours; called otherwise it prints its words, so that what stands in a line can be seen.
    """

    def __init__(self, folder: Path, bash: str) -> None:
        self._master, slave = pty.openpty()
        (folder / ".inputrc").write_text("set enable-bracketed-paste off\nset bell-style none\n", encoding="utf-8")
        own = folder / "bin"
        own.mkdir()
        (own / "gateway").write_text(PRINTS_ITS_WORDS, encoding="utf-8")
        (own / "gateway").chmod(0o755)
        environment = {
            **os.environ,
            "TERM": "dumb",
            "PS1": PROMPT,
            "HOME": str(folder),
            "INPUTRC": str(folder / ".inputrc"),
            "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
        }
        self._child = subprocess.Popen(
            [bash, "--noprofile", "--norc", "-i"],
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._read_until(PROMPT)
        os.write(self._master, b'source <(gateway --show-completion bash); printf "<%s>\\n" sourced\n')
        self._read_until(f"<sourced>\r\n{PROMPT}")

    def completed(self, line: str) -> list[str]:
        """Type the line, press Tab and Enter: the words that `gateway` is called with."""
        os.write(self._master, line.encode() + b"\t\n")
        shown = self._read_until(f"<end>\r\n{PROMPT}").partition("<begin>")[2].partition("<end>")[0]
        return re.findall("<(.*)>", shown)

    def _read_until(self, expected: str) -> str:
        text, end = "", time.monotonic() + TIMEOUT
        while not text.endswith(expected):
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"bash never showed {expected!r}, only {text!r}"
            text += os.read(self._master, 65536).decode("utf-8", "replace")
        return text

    def close(self) -> None:
        self._child.kill()
        self._child.wait(TIMEOUT)
        os.close(self._master)


@pytest.fixture
def bash(stocked: Path) -> Iterator[Bash]:
    found = shutil.which("bash")
    if found is None:
        pytest.skip("there is no bash on this machine")
    running = Bash(stocked, found)
    yield running
    running.close()


def test_a_real_bash_completes(bash: Bash, server: SandboxServer) -> None:
    calls = {name: len(seen) for name, seen in server.requests.items()}
    for line, words in (
        ("gateway or", ["orders"]),
        ("gateway orders ren", ["orders", "renew"]),
        ("gateway orders get oth", ["orders", "get", "other:3"]),
        ("gateway orders get other:", ["orders", "get", "other:3"]),
        ("gateway orders get ca", ["orders", "get", "cart-"]),
        ("gateway freeze emi", ["freeze", "emirex"]),
        ("true | gateway freeze emi", ["freeze", "emirex"]),
        ("gateway wallets list --account emi", ["wallets", "list", "--account", "emirex"]),
        ("gateway wallets list --account=emi", ["wallets", "list", "--account=emirex"]),
        ("gateway orders list --status unrec", ["orders", "list", "--status", "unrecognised"]),
        ("gateway orders list --config gateway.to", ["orders", "list", "--config", "gateway.toml"]),
    ):
        assert bash.completed(line) == words, line
    assert {name: len(seen) for name, seen in server.requests.items()} == calls


def test_a_real_bash_completes_assets_and_amounts(bash: Bash) -> None:
    for typed, value in (
        ("--pay-with USDT@tr", "USDT@tron"),
        ("--pay-with USDT@", "USDT@"),
        ("--pay-with USD", "USD"),
        ("--pay-with BTC@li", "BTC@lightning"),
        ("--pay-with=BTC@li", "--pay-with=BTC@lightning"),
        ("--pay-with 'BTC@li", "BTC@lightning"),
        ('--price "25 EU', "25 EUR"),
        ("--price '25 EU", "25 EUR"),
        ("--price 25\\ EU", "25 EUR"),
        ('--price="25 EU', "--price=25 EUR"),
        ('--price "0.1 BTC@l', "0.1 BTC@lightning"),
        ("--price 0.1\\ BTC@l", "0.1 BTC@lightning"),
    ):
        assert bash.completed(f"gateway orders create {typed}")[-1] == value, typed


def test_a_real_bash_is_told_nothing_of_failures(bash: Bash, stocked: Path) -> None:
    broken_configuration(stocked)
    assert bash.completed("gateway freeze emi") == ["freeze", "emi"]
    assert bash.completed("gateway orders get ca") == ["orders", "get", "ca"]
    assert bash.completed("gateway fre") == ["freeze"]
