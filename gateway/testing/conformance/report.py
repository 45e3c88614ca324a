"""What was proved: one record for every case, gathered by subject and row of the table, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway._version import __version__
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.testing.conformance.cases import Case
    from gateway.testing.conformance.standard import Due
    from gateway.testing.conformance.subject import Subject
    from gateway.testing.conformance.unsaid import Unsaid

__all__ = ["FORMAT", "About", "Record", "Report", "Row", "State", "SubjectReport", "exercising", "table_data"]

FORMAT = 1
exercising = "test_it_works"
"""Checks whose names begin so show that a row was exercised."""


class State(StrEnum):
    PROVED = "proved"
    FAILED = "failed"
    PARTLY = "partly examined"
    NOT_EXERCISED = "not exercised"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True)
class About:
    """A subject and what is asked of it; once a subject is enough."""

    identity: str
    """The class, so that two subjects of one name are noticed."""
    table: tuple[Mapping[str, str], ...] = ()
    """The account's table."""
    provided: tuple[str, ...] = ()
    """The rows that the provider's own table declares as supported. An account's settings may change them."""
    flavour: bool = False
    due: tuple[Due, ...] = ()
    """Every case that `Conformance` has."""
    altered: Mapping[str, str] = field(default_factory=dict)
    """Checks of the kit that the author's test classes made something else of, with what."""
    unsaid: tuple[Unsaid, ...] = ()
    untried: tuple[str, ...] = ()
    """What the adapter knows and no sample of the subject tries; the adapter conforms all the same."""
    unfinished: tuple[str, ...] = ()
    """Places of a generated adapter that are left to fill in: file, line and what is missing."""

    @property
    def offered(self) -> set[tuple[str, str]]:
        return {(row["operation"], row["variant"]) for row in self.table if row["support"] == "supported"}

    @classmethod
    def of(cls, subject: Subject, due: Iterable[Due], examiners: Iterable[type]) -> About:
        """`due` is all that `Conformance` asks, `examiners` are the test classes that examine the subject."""
        from gateway.testing.conformance.standard import altered, is_a_flavour
        from gateway.testing.conformance.unfinished import unfinished
        from gateway.testing.conformance.unsaid import unsaid_by, untried_by

        examiners = list(examiners)
        flavour = is_a_flavour(examiners)
        wanted = tuple(due)
        return cls(
            identity=f"{type(subject).__module__}.{type(subject).__qualname__}",
            table=table_data(subject),
            provided=_provided(subject),
            flavour=flavour,
            due=wanted,
            altered=altered(examiners, {one.check for one in wanted}),
            unsaid=tuple(unsaid_by(subject, flavour=flavour)),
            untried=tuple(untried_by(subject)),
            unfinished=tuple(unfinished(subject, examiners)),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            **vars(self),
            "table": [dict(row) for row in self.table],
            "provided": list(self.provided),
            "due": [list(one) for one in self.due],
            "altered": dict(self.altered),
            "unsaid": [one.to_dict() for one in self.unsaid],
            "untried": list(self.untried),
            "unfinished": list(self.unfinished),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> About:
        from gateway.testing.conformance.standard import Due
        from gateway.testing.conformance.unsaid import Unsaid

        read = {
            "table": tuple(data["table"]),
            "provided": tuple(data["provided"]),
            "due": tuple(Due(*one) for one in data["due"]),
            "unsaid": tuple(Unsaid(**one) for one in data["unsaid"]),
            "untried": tuple(data["untried"]),
            "unfinished": tuple(data["unfinished"]),
        }
        return cls(**{**data, **read})


@dataclass(frozen=True)
class Record:
    """One case as it ended. `message` is empty where it passed. `not_counted` says why it is no run of the kit's check:
    it was skipped, or the check is another one.
    """

    subject: str
    provider: str
    area: str
    operation: str
    variant: str
    check: str
    case: str
    message: str = ""
    not_counted: str = ""
    about: About | None = None

    @property
    def passed(self) -> bool:
        return not self.message and not self.not_counted

    @classmethod
    def of(
        cls,
        subject: Subject,
        case: Case,
        check: str,
        message: str = "",
        *,
        not_counted: str = "",
        about: About | None = None,
    ) -> Record:
        return cls(
            subject=subject.title,
            provider=subject.provider.name,
            area=case.area,
            operation=case.operation,
            variant=case.variant,
            check=check,
            case=case.id,
            message=message,
            not_counted=not_counted,
            about=about,
        )

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "about": None if self.about is None else self.about.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        about = data["about"]
        return cls(**{**data, "about": None if about is None else About.from_dict(about)})


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
    missing: int = 0
    """How many of its cases were not examined."""

    @property
    def failures(self) -> list[Record]:
        return [record for record in self.records if record.message]

    @property
    def state(self) -> State:
        if self.failures:
            return State.FAILED
        if self.support != "supported":
            return State.NOT_OFFERED
        if not self.exercised:
            return State.NOT_EXERCISED
        return State.PARTLY if self.missing else State.PROVED

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
            "missing": self.missing,
            "failures": [
                {"check": record.check, "case": record.case, "message": record.message} for record in self.failures
            ],
        }


@dataclass(frozen=True)
class NotExamined:
    """A check of the kit that did not run in all its cases. `everywhere`: all of them belong to rows and areas of which
    nothing was exercised, and that is told of those.
    """

    check: str
    cases: int
    of: int
    why: str
    everywhere: bool

    @property
    def words(self) -> str:
        how_many = "" if self.cases == self.of else f" in {self.cases} of {self.of} cases"
        return f"{self.check} was not examined{how_many}: {self.why}"

    def to_dict(self) -> dict[str, Any]:
        return {"check": self.check, "cases": self.cases, "of": self.of, "why": self.why}


@dataclass
class SubjectReport:
    """One subject: the rows of its table, and the areas in which every adapter is examined."""

    name: str
    provider: str
    rows: list[Row]
    areas: list[Row]
    about: About
    missing: list[NotExamined] = field(default_factory=list)
    namesakes: tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        rows = (*self.rows, *self.areas)
        return all(row.state in (State.PROVED, State.NOT_OFFERED) for row in rows) and not any(self.not_proved())

    def not_proved(self) -> Iterator[str]:
        """What is not proved, in words."""
        for row in self.rows:
            if row.state is State.NOT_EXERCISED:
                yield f"{self.name}: {row.name} is declared as supported and was not exercised"
        for row in self.areas:
            if row.state is State.NOT_EXERCISED:
                yield f"{self.name}: {row.name} was not examined"
        for check in self.missing:
            if not check.everywhere:
                yield f"{self.name}: {check.words}"
        for one in self.about.unsaid:
            if not one.reason:
                yield f"{self.name}: {one.words}"
        if self.namesakes:
            yield f"{self.name}: several subjects are called so: {', '.join(self.namesakes)}; give each a `name`"

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "provider": self.provider,
            "conforms": self.conforms,
            "rows": [row.to_dict() for row in self.rows],
            "areas": [row.to_dict() for row in self.areas],
            "missing": [check.to_dict() for check in self.missing],
            "unsaid": [one.to_dict() for one in self.about.unsaid],
            "untried": list(self.about.untried),
        }


@dataclass
class Report:
    """Everything that was examined. `whole` False: only a part of the checks ran, what is missing says nothing."""

    subjects: list[SubjectReport]
    whole: bool = True
    broken: tuple[str, ...] = ()
    """Files of tests that could not be read."""

    @property
    def complete(self) -> bool:
        """All checks ran, and nothing of what was examined is left to fill in."""
        return self.whole and not self.left_to_fill_in

    @property
    def left_to_fill_in(self) -> list[str]:
        """Places of generated adapters that still hold what was made up, as file, line and what is missing."""
        return list(dict.fromkeys(place for subject in self.subjects for place in subject.about.unfinished))

    @property
    def conforms(self) -> bool:
        return all(subject.conforms for subject in self.subjects) and not self.not_proved()

    @property
    def failures(self) -> list[Record]:
        return [
            record for subject in self.subjects for row in (*subject.rows, *subject.areas) for record in row.failures
        ]

    def not_proved(self) -> list[str]:
        """What keeps the adapters from conforming besides failures, in words."""
        found = [f"{place} could not be read: what it examines was not examined" for place in self.broken]
        if not self.subjects:
            found.append("nothing was examined: no check of the kit was run")
        found += [words for subject in self.subjects for words in subject.not_proved()]
        return [*found, *self._of_flavours_only(), *self._of_no_account()]

    def _of_flavours_only(self) -> Iterator[str]:
        for provider in dict.fromkeys(subject.provider for subject in self.subjects):
            if all(subject.about.flavour for subject in self.subjects if subject.provider == provider):
                yield f"{provider}: every subject is examined by FlavourConformance; one has to be by Conformance"

    def _of_no_account(self) -> Iterator[str]:
        """Rows of a provider's table that the accounts of its subjects do not have."""
        for provider in dict.fromkeys(subject.provider for subject in self.subjects):
            subjects = [subject for subject in self.subjects if subject.provider == provider]
            known = {row.name for subject in subjects for row in subject.rows if row.support == "supported"}
            for name in dict.fromkeys(name for subject in subjects for name in subject.about.provided):
                if name not in known:
                    yield f"{provider}: {name} is declared as supported, and no subject has an account that offers it"

    @classmethod
    def of(cls, records: Iterable[Record], *, complete: bool = True, broken: Iterable[str] = ()) -> Report:
        by_subject: dict[str, list[Record]] = {}
        for record in records:
            by_subject.setdefault(record.subject, []).append(record)
        elsewhere: dict[str, set[tuple[str, str]]] = {}
        for found in by_subject.values():
            if not _about(found).flavour:
                elsewhere.setdefault(found[0].provider, set()).update(_about(found).offered)
        subjects = [_subject(name, found, elsewhere.get(found[0].provider)) for name, found in by_subject.items()]
        return cls(subjects, complete, tuple(broken))

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "gateway": __version__,
            "complete": self.complete,
            "conforms": self.conforms,
            "not_proved": self.not_proved() if self.whole or not self.subjects else [],
            "left_to_fill_in": self.left_to_fill_in,
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
            and all(isinstance(words, str) for words in (*data["not_proved"], *data["left_to_fill_in"]))
            and all(isinstance(one[name], str) for one in _unsaid(data) for name in ("topic", "words", "reason"))
            and all(isinstance(words, str) for subject in data["subjects"] for words in subject["untried"])
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


def _unsaid(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for subject in data["subjects"]:
        yield from subject["unsaid"]


def _about(records: Iterable[Record]) -> About:
    return next((record.about for record in records if record.about is not None), About(identity=""))


def _due(about: About, elsewhere: Collection[tuple[str, str]] | None) -> list[Due]:
    """What has to be examined of a subject. Of a flavour, what depends on flavours, and everything of the rows that no
    other account offers.
    """
    if not about.flavour or elsewhere is None:
        return list(about.due)
    return [
        one for one in about.due if one.of_flavours or ((one.operation, one.variant) in about.offered - set(elsewhere))
    ]


def _subject(name: str, records: list[Record], elsewhere: Collection[tuple[str, str]] | None) -> SubjectReport:
    """`elsewhere` are the rows of the provider's accounts that are examined as a whole."""
    from gateway.testing.conformance.cases import ALWAYS

    told = [record.about for record in records if record.about is not None]
    about = _about(records)
    due = _due(about, elsewhere)
    rows = {
        (row["operation"], row["variant"]): Row(
            row["operation"], row["variant"], row["grade"], row["support"], row["source"]
        )
        for row in about.table
    }
    areas = {area: Row(area) for area in ALWAYS}

    def row_of(one: Record | Due) -> Row:
        row = rows.get((one.operation, one.variant)) if one.area not in ALWAYS else None
        return row or areas.setdefault(one.area, Row(one.area))

    for record in records:
        if record.not_counted and not record.message:
            continue
        row = row_of(record)
        row.records.append(record)
        if record.passed and (record.check.startswith(exercising) or row.name in areas):
            row.exercised = True
    counted = {(record.check, record.case) for record in records if not record.not_counted}
    lacking = [one for one in due if (one.check, one.case) not in counted]
    for one in lacking:
        row_of(one).missing += 1
    return SubjectReport(
        name,
        records[0].provider,
        list(rows.values()),
        list(areas.values()),
        about,
        list(_not_examined(about, records, due, lacking, row_of)),
        tuple(sorted({one.identity for one in told})) if len({one.identity for one in told}) > 1 else (),
    )


def _not_examined(
    about: About, records: list[Record], due: list[Due], lacking: list[Due], row_of: Callable[[Due], Row]
) -> Iterator[NotExamined]:
    whys = {record.check: record.not_counted for record in records if record.not_counted}
    for check in dict.fromkeys(one.check for one in lacking):
        without = [one for one in lacking if one.check == check]
        why = about.altered.get(check) or whys.get(check)
        yield NotExamined(
            check,
            len(without),
            sum(one.check == check for one in due),
            why or "no test of the run is about it",
            everywhere=not why and all(row_of(one).state is State.NOT_EXERCISED for one in without),
        )
