"""Every row of the matrix is played and ends as it says; the document is this table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.test_outcomes import ANSWERED
from support.loopback import Loopback
from weather import inputs, network, processes, servers, stores
from weather.matrix import CASES, Case, End, markdown
from weather.playing import Shopkeeper, Stage, write

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "failures.md"
PLAYS = {**network.PLAYS, **processes.PLAYS, **stores.PLAYS, **servers.PLAYS, **inputs.PLAYS}


# Python 3.12 and later warn of a fork beside other threads; a test has some, and the child ends at once.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("case", "colour"),
    [pytest.param(it, colour, id=f"{it.id}-{colour}") for it in CASES if not it.answers for colour in it.colours],
)
def test_it_ends_as_the_row_says(
    case: Case,
    colour: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    blocked_attempts: list[str],
) -> None:
    PLAYS[case.id](case, Stage(colour, tmp_path, monkeypatch, request))


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


def test_a_store_that_cannot_be_looked_at_is_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Its folder can be closed to a process that gave up its rights after it had opened the store."""
    look = os.stat

    def closed(path: object, **more: Any) -> Any:
        if str(path).endswith("gateway.db"):
            raise PermissionError(13, "Permission denied")
        return look(path, **more)  # type: ignore[arg-type]

    stage = Stage("sync", tmp_path, monkeypatch, request)
    with Loopback(app=Shopkeeper()) as server, stage.shop(server) as gw:
        write(gw)
        monkeypatch.setattr(os, "stat", closed)
        assert write(gw, "cart-2").provider_id == "2"


def test_the_document_is_this_table() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), "write it anew with .ci/generate_failures.py"
