"""What was proved: one record for every case, gathered by subject and row of the table, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway._version import __version__
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.testing.conformance.cases import Case
    from gateway.testing.conformance.subject import Subject

__all__ = ["FORMAT", "Record", "Report", "Row", "State", "SubjectReport", "exercising", "table_data"]

FORMAT = 1
exercising = "test_it_works"
"""Checks whose names begin so show that a row was exercised."""


class State(StrEnum):
    PROVED = "proved"
    FAILED = "failed"
    NOT_EXERCISED = "not exercised"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True)
class Record:
    """One case as it ended. `message` is empty where it passed."""

    subject: str
    provider: str
    area: str
    operation: str
    variant: str
    check: str
    case: str
    message: str = ""
    table: tuple[Mapping[str, str], ...] = ()
    """The account's table; once a subject is enough."""
    provided: tuple[str, ...] = ()
    """With it: the rows that the provider's own table declares as supported. An account's settings may change them."""

    @property
    def passed(self) -> bool:
        return not self.message

    @classmethod
    def of(cls, subject: Subject, case: Case, check: str, message: str = "", *, table: bool = False) -> Record:
        return cls(
            subject=subject.title,
            provider=subject.provider.name,
            area=case.area,
            operation=case.operation,
            variant=case.variant,
            check=check,
            case=case.id,
            message=message,
            table=table_data(subject) if table else (),
            provided=_provided(subject) if table else (),
        )

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "table": [dict(row) for row in self.table], "provided": list(self.provided)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        return cls(**{**data, "table": tuple(data.get("table", ())), "provided": tuple(data.get("provided", ()))})


def table_data(subject: Subject) -> tuple[Mapping[str, str], ...]:
    from gateway.testing.conformance.bench import table_of

    return tuple(row.to_dict() for row in table_of(subject))


def _provided(subject: Subject) -> tuple[str, ...]:
    rows = subject.provider.capabilities.rows
    return tuple(_name(row.operation, row.variant) for row in rows if row.support == "supported")


def _name(operation: str, variant: str) -> str:
    return f"{operation}:{variant}" if variant else operation


@dataclass
class Row:
    """One row of the table, or one area that is no row."""

    operation: str
    variant: str = ""
    grade: str = ""
    support: str = "supported"
    source: str = ""
    records: list[Record] = field(default_factory=list)
    exercised: bool = False

    @property
    def failures(self) -> list[Record]:
        return [record for record in self.records if not record.passed]

    @property
    def state(self) -> State:
        if self.failures:
            return State.FAILED
        if self.support != "supported":
            return State.NOT_OFFERED
        return State.PROVED if self.exercised else State.NOT_EXERCISED

    @property
    def name(self) -> str:
        return _name(self.operation, self.variant)

    def to_dict(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "variant": self.variant,
            "state": self.state.value,
            "grade": self.grade,
            "support": self.support,
            "source": self.source,
            "checks": len(self.records),
            "failures": [
                {"check": record.check, "case": record.case, "message": record.message} for record in self.failures
            ],
        }


@dataclass
class SubjectReport:
    """One subject: the rows of its table, and the areas in which every adapter is examined."""

    name: str
    provider: str
    rows: list[Row]
    areas: list[Row]
    provided: tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        return all(row.state in (State.PROVED, State.NOT_OFFERED) for row in (*self.rows, *self.areas))

    def not_proved(self) -> Iterator[str]:
        """What is not proved, in words."""
        for row in self.rows:
            if row.state is State.NOT_EXERCISED:
                yield f"{self.name}: {row.name} is declared as supported and was not exercised"
        for row in self.areas:
            if row.state is State.NOT_EXERCISED:
                yield f"{self.name}: {row.name} was not examined"

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "provider": self.provider,
            "conforms": self.conforms,
            "rows": [row.to_dict() for row in self.rows],
            "areas": [row.to_dict() for row in self.areas],
        }


@dataclass
class Report:
    """Everything that was examined. `complete` False: only a part of the checks ran, what is missing says nothing."""

    subjects: list[SubjectReport]
    complete: bool = True

    @property
    def conforms(self) -> bool:
        return bool(self.subjects) and all(subject.conforms for subject in self.subjects) and not self.not_proved()

    @property
    def failures(self) -> list[Record]:
        return [
            record for subject in self.subjects for row in (*subject.rows, *subject.areas) for record in row.failures
        ]

    def not_proved(self) -> list[str]:
        return [words for subject in self.subjects for words in subject.not_proved()] + list(self._of_no_account())

    def _of_no_account(self) -> Iterator[str]:
        """Rows of a provider's table that the accounts of its subjects do not have."""
        for provider in dict.fromkeys(subject.provider for subject in self.subjects):
            subjects = [subject for subject in self.subjects if subject.provider == provider]
            known = {row.name for subject in subjects for row in subject.rows if row.support == "supported"}
            for name in dict.fromkeys(name for subject in subjects for name in subject.provided):
                if name not in known:
                    yield f"{provider}: {name} is declared as supported, and no subject has an account that offers it"

    @classmethod
    def of(cls, records: Iterable[Record], *, complete: bool = True) -> Report:
        by_subject: dict[str, list[Record]] = {}
        for record in records:
            by_subject.setdefault(record.subject, []).append(record)
        return cls([_subject(name, found) for name, found in by_subject.items()], complete)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "gateway": __version__,
            "complete": self.complete,
            "conforms": self.conforms,
            "subjects": [subject.to_dict() for subject in self.subjects],
        }

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """The data of a report that was written. Raises InvalidRequest for what is none."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from None
        except ValueError:
            data = None
        if not _is_report(data):
            raise InvalidRequest(
                f"{path} is no report of the conformance kit of this version",
                hint="write one with: pytest --gateway-report=report.json",
            )
        return data  # type: ignore[no-any-return]


def _is_report(data: Any) -> bool:
    """Whether this has all that is shown of a report."""
    try:
        return bool(
            data["format"] == FORMAT
            and {type(data["complete"]), type(data["conforms"])} == {bool}
            and all(
                isinstance(row[name], kind)
                for subject in data["subjects"]
                for row in (*subject["rows"], *subject["areas"])
                for name, kind in _SHOWN.items()
            )
            and all(isinstance(subject["name"], str) for subject in data["subjects"])
        )
    except (KeyError, TypeError):
        return False


_SHOWN: Mapping[str, type] = {
    "operation": str,
    "variant": str,
    "state": str,
    "grade": str,
    "checks": int,
    "failures": list,
}


def _subject(name: str, records: list[Record]) -> SubjectReport:
    from gateway.testing.conformance.cases import ALWAYS

    table = next((record.table for record in records if record.table), ())
    rows = {
        (row["operation"], row["variant"]): Row(
            row["operation"], row["variant"], row["grade"], row["support"], row["source"]
        )
        for row in table
    }
    areas = {area: Row(area) for area in ALWAYS}
    for record in records:
        row = rows.get((record.operation, record.variant)) if record.area not in areas else None
        if row is None:
            row = areas.setdefault(record.area, Row(record.area))
            row.exercised = True
        row.records.append(record)
        if record.check.startswith(exercising) and record.passed:
            row.exercised = True
    provided = next((record.provided for record in records if record.table), ())
    return SubjectReport(name, records[0].provider, list(rows.values()), list(areas.values()), provided)
