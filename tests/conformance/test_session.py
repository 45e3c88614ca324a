"""The kit under pytest, as an author's own run has it: what fails the run, and what is written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TESTS = """
from conformance.acme_subject import Acme
from gateway.testing.conformance import {suites}

class TestKeys(KeysSuite):
    subject = Acme

class TestTable({second}):
    subject = Acme

def test_of_the_authors_own(tmp_path):
    assert tmp_path.is_dir()
"""

UNDECLARED = """
from conformance import acme, acme_subject
from gateway.capabilities import Capabilities

acme_subject.Acme.provider = acme.provider(capabilities=Capabilities(acme.CAPABILITIES.rows[:-1]))
"""


def run(folder: Path, *words: str, second: str = "CapabilitiesSuite") -> subprocess.CompletedProcess[str]:
    suites = ", ".join(sorted({"KeysSuite", second}))
    (folder / "test_acme.py").write_text(TESTS.format(suites=suites, second=second), encoding="utf-8")
    path = os.pathsep.join([str(HERE.parent), *sys.path])
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", "-p", "gateway.testing.plugin", "-W", "error", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "-q", "-c", os.devnull, "--rootdir", str(folder), *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def report(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return data


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two workers"])
def test_what_is_declared_and_not_exercised_fails_the_run(tmp_path: Path, workers: tuple[str, ...]) -> None:
    done = run(tmp_path, "--gateway-report=report.json", "test_acme.py", *workers)
    assert done.returncode == 1, done.stdout + done.stderr
    assert " failed" not in done.stdout
    assert "skipped" not in done.stdout
    assert "acme: orders.create:coin is declared as supported and was not exercised" in done.stdout
    assert "acme: redaction was not examined" in done.stdout
    assert "keys.verify is" not in done.stdout
    data = report(tmp_path)
    (acme,) = data["subjects"]
    assert (data["complete"], data["conforms"], acme["conforms"]) == (True, False, False)
    states = {row["operation"]: (row["state"], row["grade"]) for row in acme["rows"]}
    assert states["keys.verify"] == ("proved", "D")
    assert states["orders.get"] == ("not exercised", "D")
    areas = {row["operation"]: row["state"] for row in acme["areas"]}
    assert (areas["capabilities"], areas["redaction"]) == ("proved", "not exercised")


def test_a_part_of_the_tests_is_not_judged(tmp_path: Path) -> None:
    done = run(tmp_path, "--gateway-report=report.json", "test_acme.py", "-k", "test_it_works or own")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert "only a part was run" in done.stdout
    assert report(tmp_path)["complete"] is False


def test_a_failure_says_what_is_wrong_and_is_kept(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(UNDECLARED, encoding="utf-8")
    done = run(tmp_path, "--gateway-report=report.json", "test_acme.py", "-k", "evidence")
    assert done.returncode == 1
    assert "keys.revoke is not declared at all" in done.stdout
    (acme,) = report(tmp_path)["subjects"]
    (table,) = [row for row in acme["areas"] if row["operation"] == "capabilities"]
    assert table["state"] == "failed"
    assert "keys.revoke is not declared at all" in table["failures"][0]["message"]


def test_who_does_not_use_the_kit_imports_nothing_of_it() -> None:
    code = "import sys, gateway.testing.plugin; print(sorted(name for name in sys.modules if 'conformance' in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
