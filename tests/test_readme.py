"""The README's examples run as they are written, against the sandboxes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import Gateway, Money, OrderRequest
from gateway.testing import SandboxServer, accounts_toml
from gateway.testing.lightning import encode_invoice

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TOML = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def shop(gateway_sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration in which `shop` is a sandbox account."""
    accounts = {"shop": gateway_sandbox.account("aurpay")}
    route = '\n[[routes]]\noperation = "orders.create"\naccounts = ["shop"]\n'
    (tmp_path / "gateway.toml").write_text(accounts_toml(accounts) + route, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(words: str) -> str:
    found = [block for block in PYTHON if words in block]
    assert len(found) == 1, words
    return found[0]


def test_every_example_is_run_here() -> None:
    assert len(PYTHON) == 5


@pytest.mark.usefixtures("shop")
def test_an_order(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example('from_file("gateway.toml") as gw:\n    order = gw'), "README", "exec"), {"__name__": "readme"})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("pending 25.")
    assert second == "pending"


@pytest.mark.usefixtures("shop")
def test_an_order_awaited(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example("AsyncGateway.from_file"), "README", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.startswith("lntb")


@pytest.mark.usefixtures("shop")
def test_a_payout(capsys: pytest.CaptureFixture[str]) -> None:
    invoice = encode_invoice(
        ec.derive_private_key(7, ec.SECP256K1()),
        payment_hash=b"\x11" * 32,
        payment_secret=b"\x22" * 32,
        created_at=datetime.now(UTC),
        amount=Money("0.001", "BTC@lightning"),
        network="testnet",
        description="a supplier",
    )
    written = example("LightningInvoice(")
    assert "lnbc1m1..." in written
    exec(compile(written.replace("lnbc1m1...", invoice), "README", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out == ""
    with Gateway.from_file() as gw:
        assert gw.withdrawals.get("payout-77").amount == Money("0.001", "BTC@lightning")


@pytest.mark.usefixtures("shop")
def test_a_handler(capsys: pytest.CaptureFixture[str], gateway_sandbox: SandboxServer) -> None:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(example('@gw.on("order.paid"'), "README", "exec"), names)
    with names["gw"] as gw:
        order = gw.orders.create(OrderRequest(reference="cart-9", price=Money("25.00", "USD"), pay_with="USDT@tron"))
        gateway_sandbox.pay("aurpay", order.provider_id)
        gw.orders.get("cart-9")
        gw.run(until_idle=True)
    assert capsys.readouterr().out.startswith("ship cart-9 {'amount': '25")


def test_a_merchants_own_test(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(example("def test_checkout("), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AURPAY_TOKEN", "AURPAY_SECRET", "BACKUP_TOKEN", "BACKUP_SECRET"):
        monkeypatch.setenv(name, f"made-up-{name}")
    for routes, first in (
        (TOML[0], "shop"),
        (re.sub(r"\[\[routes\]\].*", "", TOML[0], flags=re.DOTALL) + TOML[1], "backup"),
    ):
        (tmp_path / "gateway.toml").write_text(routes, encoding="utf-8")
        with Gateway.from_file(tmp_path / "gateway.toml") as gw:
            assert gw.accounts == ("shop", "backup")
            assert gw._core.settings.routes[0].accounts[0] == first
