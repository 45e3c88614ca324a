"""The kit is examined: every broken adapter fails it, with a message that names the fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.acme_subject import Acme
from conformance.broken.cards import AcmeWithCards
from conformance.broken.catches import page
from conformance.broken.fault import Broken, all_broken
from conformance.broken.logins import AcmeWithLogin
from conformance.broken.nested import AcmeWrapped
from conformance.broken.proofs import AcmeOnARing
from conformance.broken.samples import AcmeWithTwoPrices
from conformance.broken.unasked import AcmeWithConstants
from conformance.broken.units import AcmeInBoth, AcmeInUnits
from gateway.testing.conformance import Conformance, examine
from gateway.testing.conformance.cases import checks_of

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
BROKEN = all_broken()
# Each broken adapter starts from one that passes; conformance/test_acme.py examines Acme itself with every check.
SOUND = (
    AcmeWithCards,
    AcmeWithLogin,
    AcmeInUnits,
    AcmeInBoth,
    AcmeWithTwoPrices,
    AcmeWithConstants,
    AcmeOnARing,
    AcmeWrapped,
)


@pytest.mark.parametrize("case", BROKEN, ids=[case.name for case in BROKEN])
def test_the_kit_names_what_is_broken(case: Broken) -> None:
    report = examine(
        case.subject,
        checks=[case.check],
        areas=None if case.within is None else [case.within],
        colours=["sync"],
        until_failure=True,
    )
    assert not report.conforms
    assert [failure.check for failure in report.failures] == [case.check]
    assert case.words in report.failures[0].message


@pytest.mark.parametrize("sound", SOUND, ids=lambda sound: sound.__name__)
def test_what_they_were_made_of_passes(sound: type[Acme]) -> None:
    named = {case.check for case in BROKEN if issubclass(case.subject, sound)}
    report = examine(sound, checks=named, colours=["sync"])
    assert [failure.message for failure in report.failures] == []
    rows = [row for subject in report.subjects for row in (*subject.rows, *subject.areas)]
    assert {record.check for row in rows for record in row.records} == named


def test_every_suite_has_an_adapter_that_fails_it() -> None:
    """A suite that nothing fails examines nothing, as far as anybody knows."""
    checks = {kind: {name for name in vars(kind) if name.startswith("test_")} for kind in Conformance.__mro__}
    found = {case.check for case in BROKEN}
    assert found <= {name for name, _ in checks_of(Conformance)}
    without = sorted(kind.__name__ for kind, names in checks.items() if names and not names & found)
    assert without == []


def test_the_documentation_lists_them() -> None:
    assert page(PAGE.read_text(encoding="utf-8")) == PAGE.read_text(encoding="utf-8"), (
        "docs/conformance.md is not up to date: PYTHONPATH=tests python -m conformance.broken.catches"
    )
