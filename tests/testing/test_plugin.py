"""The fixtures, as a merchant's own test run has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = """
from types import SimpleNamespace
import pytest
import gateway, gateway.plugins

class Gateway:
    def __init__(self, *, accounts, store):
        self.accounts, self.store, self.closed = accounts, store, False
    def __enter__(self):
        return self
    def __exit__(self, *args):
        print("GATEWAY CLOSED")

toy = SimpleNamespace(name="toy", sandbox="toy_sandbox:ToySandbox")
gateway.plugins.load_plugins = lambda: SimpleNamespace(providers={"toy": toy})
gateway.Gateway = Gateway
"""

TESTS = """
import urllib.request
urls = []

def test_server(gateway_sandbox, gateway_sandbox_settings):
    urls.append(gateway_sandbox.base_url("toy"))
    request = urllib.request.Request(urls[0] + "/orders", b'{"amount": "5"}', method="POST")
    assert urllib.request.urlopen(request, timeout=5).status == 200
    assert gateway_sandbox.pay("toy", "1").status == "paid-exact"
    assert gateway_sandbox_settings["toy"]["base_url"] == urls[0]

def test_fresh(gateway_sandbox):
    assert gateway_sandbox.orders("toy") == []

def test_gateway(sandbox_gateway, gateway_sandbox, tmp_path):
    assert sandbox_gateway.accounts == gateway_sandbox.accounts()
    assert sandbox_gateway.store == f"sqlite:///{tmp_path / 'gateway.db'}"
"""


def test_a_merchants_own_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_shop.py").write_text(TESTS)
    # Named here, so that it holds also where the distribution is not installed but only on the path.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "no_proxy": "*"}
    command = [sys.executable, "-m", "pytest", "-p", "gateway.testing.plugin", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-s", "-q", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert done.stdout.count("GATEWAY CLOSED") == 1
