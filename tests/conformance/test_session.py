"""The kit under pytest, as an author's own run has it: what fails the run, and what is written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conformance.acme_subject import Acme
from gateway.cli.app import build
from gateway.plugins import load_plugins
from gateway.testing.conformance import Conformance, FlavourConformance, examine
from gateway.testing.conformance.secrets import secret_texts

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


def run(
    folder: Path, *words: str, second: str = "CapabilitiesSuite", tests: str | None = None
) -> subprocess.CompletedProcess[str]:
    suites = ", ".join(sorted({"KeysSuite", second}))
    text = TESTS.format(suites=suites, second=second) if tests is None else tests
    (folder / "test_acme.py").write_text(text, encoding="utf-8")
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


SWITCHED_OFF = """
import pytest
from conformance.acme_subject import Acme
from gateway.testing.conformance import CapabilitiesSuite, KeysSuite
from gateway.testing.conformance.cases import check, over

class Table(CapabilitiesSuite):
    subject = Acme
    test_every_row_says_on_what_evidence = None

@pytest.mark.xfail
class TestTable(Table):
    test_every_row_says_on_what_evidence = None

class TestKeys(KeysSuite):
    subject = Acme

    @check(over())
    def test_it_works_and_gives_what_it_should(self, bench, case):
        pass

    def test_amounts_that_come_in_keep_every_digit(self):
        pass

    @pytest.mark.skip
    def test_lists_are_read_to_their_end_and_nothing_comes_twice(self, bench, case):
        pass

TestKeys.test_what_goes_wrong_on_the_way_is_told_as_it_is = pytest.mark.skip(
    KeysSuite.test_what_goes_wrong_on_the_way_is_told_as_it_is
)
"""

SILENT = """
from conformance.acme_subject import Acme
from gateway.testing.conformance import RateLimitSuite, StatusWords

class Silent(Acme):
    words = (
        StatusWords("orders.get", "data.status", {}),
        *(one for one in Acme.words if one.operation != "orders.get"),
    )
    failures = ()
    ends = {}
    callbacks = ()
    refused_auth = None
    public = frozenset({"auth.secret", "auth.kind"})
    nothing_documented = {"failures": "Acme documents no error", "ends": " ", "colour": "none"}

class TestSilent(RateLimitSuite):
    subject = Silent
"""

TWICE = """
from conformance.acme_subject import Acme
from gateway.testing.conformance import CapabilitiesSuite

class Further(Acme):
    pass

class TestFurther(CapabilitiesSuite):
    subject = Further

class TestAcme(CapabilitiesSuite):
    subject = Acme
"""

LYING = """
from conformance.acme import CAPABILITIES, AcmeAdapter, provider
from conformance.acme_subject import broken
from gateway.testing.conformance import Conformance

class TestLying(Conformance):
    subject = broken(provider(adapter=type("Lying", (AcmeAdapter,), {"get_order": None})))
"""


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
    assert "test_lists_are_read_to_their_end_and_nothing_comes_twice" not in done.stdout  # told with its rows
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


def test_what_an_author_switches_off_is_named_and_is_not_proved(tmp_path: Path) -> None:
    done = run(tmp_path, "--gateway-report=report.json", "test_acme.py", tests=SWITCHED_OFF)
    assert done.returncode == 1, done.stdout + done.stderr
    assert " failed" not in done.stdout
    for words in (
        "test_every_row_says_on_what_evidence was not examined: TestTable switches it off",
        "test_what_is_declared_is_implemented was not examined: it is marked as one that is expected to fail (xfail)",
        "test_it_works_and_gives_what_it_should was not examined: TestKeys overrides it",
        "test_amounts_that_come_in_keep_every_digit was not examined: TestKeys overrides it",
        "test_lists_are_read_to_their_end_and_nothing_comes_twice was not examined: TestKeys overrides it",
        "test_what_goes_wrong_on_the_way_is_told_as_it_is was not examined: it was skipped",
    ):
        assert f"acme: {words}" in done.stdout
    data = report(tmp_path)
    assert (data["complete"], data["conforms"]) == (True, False)
    assert [words for words in data["not_proved"] if "TestTable switches it off" in words] != []
    (acme,) = data["subjects"]
    states = {row["operation"]: row["state"] for row in (*acme["rows"], *acme["areas"])}
    assert states["keys.verify"] == "not exercised"
    assert states["capabilities"] == "not exercised"


def test_a_row_of_which_one_check_is_missing_is_not_proved() -> None:
    class AllButOne(Conformance):
        test_a_reference_is_carried_out_once = None  # type: ignore[assignment]

    told = examine(Acme, suite=AllButOne, areas=["withdrawals"])
    (acme,) = told.subjects
    states = {row.name: str(row.state) for row in acme.rows if row.operation.startswith("withdrawals.")}
    assert states["withdrawals.create:address"] == "partly examined"
    assert states["withdrawals.get"] == "proved"
    assert not told.conforms
    assert f"acme: test_a_reference_is_carried_out_once was not examined: {AllButOne.__name__} switches it off" in (
        told.not_proved()
    )


def test_what_a_subject_leaves_out_is_told_unless_it_gives_a_reason(tmp_path: Path) -> None:
    done = run(tmp_path, "--gateway-report=report.json", "test_acme.py", tests=SILENT)
    assert done.returncode == 1, done.stdout + done.stderr
    data = report(tmp_path)
    (silent,) = data["subjects"]
    for words in (
        "acme: not exercised: the subject says nothing of the words for a status that orders.get reads",
        "acme: not exercised: the subject says nothing of a key that is not accepted",
        "acme: not exercised: the subject says nothing of callbacks as they are documented",
        "acme: not exercised: the subject says nothing of how an order that is paid exactly ends",
        "acme: `public` of the subject names auth.secret, which is a secret part of the account's credentials",
        "acme: `nothing_documented` of the subject names 'colour'",
        "acme: `nothing_documented` of the subject gives no reason for 'ends'",
    ):
        assert words in done.stdout
        assert [told for told in data["not_proved"] if told.startswith(words)] != []
    assert "withdrawals.get reads" not in done.stdout
    assert "says nothing of failures" not in done.stdout
    assert {one["topic"]: one["reason"] for one in silent["unsaid"]}["failures"] == "Acme documents no error"


def test_an_error_that_only_the_adapters_table_knows_is_told(tmp_path: Path) -> None:
    silent = type("Silent", (Acme,), {"failures": tuple(one for one in Acme.failures if one.code != "no-funds")})
    told = examine(silent, areas=["keys"], colours=["sync"])
    words = "not tried: ERRORS of conformance.acme: 'no-funds' means InsufficientFunds, and no documented failure is "
    assert [one for one in told.subjects[0].about.untried if one.startswith(words)] != []
    assert not [one for one in told.subjects[0].about.untried if "'bad-key'" in one]
    told.write(tmp_path / "report.json")
    shown = CliRunner().invoke(build(load_plugins()), ["conformance", str(tmp_path / "report.json")])
    assert f"acme: {words}" in " ".join(shown.output.split())


def test_a_secret_that_is_called_public_is_looked_for_all_the_same() -> None:
    subject = type("Published", (Acme,), {"public": frozenset({"auth.secret", "auth.key"})})
    settings = {"auth": {"kind": "signed", "key": "a-key-of-acme", "secret": "a-secret-of-acme"}, "provider": "acme"}
    given = {**settings, "environment": "sandbox", "base_url": "http://127.0.0.1:9"}
    assert ("auth.secret", "a-secret-of-acme") in secret_texts(subject(), given)


def test_a_flavour_alone_is_not_enough() -> None:
    told = examine(Acme, suite=FlavourConformance, areas=["keys"])
    assert "acme: every subject is examined by FlavourConformance; one has to be by Conformance" in told.not_proved()


def test_two_subjects_of_one_name_are_told(tmp_path: Path) -> None:
    done = run(tmp_path, "test_acme.py", tests=TWICE)
    assert done.returncode == 1
    assert "acme: several subjects are called so: conformance.acme_subject.Acme, test_acme.Further" in done.stdout


def test_the_first_failure_of_what_is_declared_and_not_there_says_that_the_table_lies(tmp_path: Path) -> None:
    done = run(tmp_path, "test_acme.py", "-x", tests=LYING)
    assert done.returncode == 1
    assert "the table lies: orders.get is declared as supported, and the adapter has no get_order()" in done.stdout


def test_after_an_error_of_collection_nothing_is_said_to_be_examined(tmp_path: Path) -> None:
    done = run(tmp_path, "--gateway-report=report.json", "test_acme.py", tests="import no_such_module_of_acme")
    assert done.returncode == 2
    data = report(tmp_path)
    assert data["not_proved"] == [
        "test_acme.py could not be read: what it examines was not examined",
        "nothing was examined: no check of the kit was run",
    ]
    assert data["conforms"] is False
    shown = CliRunner().invoke(build(load_plugins()), ["conformance", str(tmp_path / "report.json")])
    assert shown.exit_code == 1
    assert "nothing was examined" in shown.output
    assert "0 failed" not in shown.output


@pytest.mark.parametrize("where, words", [("no/such/r.json", "there is no folder"), (".", "it is a folder")])
def test_a_report_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path, where: str, words: str) -> None:
    done = run(tmp_path, f"--gateway-report={where}", "test_acme.py")
    assert done.returncode == 4
    assert f"--gateway-report={where}: {words}" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert " passed" not in done.stdout
