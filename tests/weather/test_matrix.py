"""Every row of the matrix is played and ends as it says; the document is this table."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.test_outcomes import ANSWERED
from weather import inputs, network, processes, stores
from weather.matrix import CASES, Case, End, markdown
from weather.playing import Stage

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "failures.md"
PLAYS = {**network.PLAYS, **processes.PLAYS, **stores.PLAYS, **inputs.PLAYS}


# Python 3.12 and later warn of a fork beside other threads; a test has some, and the child ends at once.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("case", "colour"),
    [pytest.param(it, colour, id=f"{it.id}-{colour}") for it in CASES if not it.answers for colour in it.colours],
)
def test_it_ends_as_the_row_says(
    case: Case, colour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked_attempts: list[str]
) -> None:
    PLAYS[case.id](case, Stage(colour, tmp_path, monkeypatch))


@pytest.mark.parametrize("case", [case for case in CASES if case.answers], ids=lambda case: case.id)
def test_a_row_of_answers_says_what_is_tested_of_them(case: Case) -> None:
    for name in case.answers:
        _, read, write = ANSWERED[name]
        assert (End(read.kind, read.outcome), End(write.kind, write.outcome)) == (case.read, case.write), name


def test_every_answer_has_one_row() -> None:
    assert sorted(name for case in CASES for name in case.answers) == sorted(ANSWERED)


def test_every_row_has_one_scenario() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert sorted(PLAYS) == sorted(case.id for case in CASES if not case.answers)


def test_the_document_is_this_table() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), "write it anew with .ci/generate_failures.py"
