"""docs/events.md says what is so, and its examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from gateway import Gateway, Money, OrderRequest
from gateway.events import calling, handlers
from gateway.telemetry import _DURATIONS
from gateway.testing import SandboxServer, accounts_toml

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
HANDLERS, POLLING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_of_measurements_is_complete() -> None:
    assert re.findall(r"^\| `gateway\.(\w+)\.duration`", PAGE, re.MULTILINE) == list(_DURATIONS)


def test_the_numbers_are_those_of_the_code() -> None:
    for words in (
        f"at most {calling.AT_ONCE} of one handler at once",
        f"When {calling.MOST_LEFT_BEHIND} calls of one handler hang",
        f"{handlers.TRIES} tries take",
    ):
        assert words in " ".join(PAGE.split()), words
    assert handlers.TIMEOUT == 60


def test_the_examples_run(gateway_sandbox: SandboxServer, tmp_path: Path) -> None:
    accounts = {"shop": gateway_sandbox.account("aurpay")}
    (tmp_path / "gateway.toml").write_text(accounts_toml(accounts), encoding="utf-8")
    (tmp_path / "payments.py").write_text(HANDLERS, encoding="utf-8")
    with Gateway.from_file(tmp_path / "gateway.toml") as gw:
        made = gw.orders.create(
            OrderRequest(reference="cart-1001", price=Money("25", "USD"), pay_with="USDT@tron", customer="c-42")
        )
        gateway_sandbox.pay("aurpay", made.provider_id or "")
        gw.orders.get("cart-1001")
    script = "from payments import gw\ngw.run(until_idle=True, concurrency=1)\n" + POLLING
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "ship cart-1001 for c-42 []" in lines
    assert [line for line in lines if line.startswith("2 order.paid order cart-1001 {")]
    assert lines[-2:] == ["1 order.created", "2 order.paid"]
