"""What is examined: a check is a method of a suite, a case is what one run of it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from gateway.errors import ConfigurationError
from gateway.testing.conformance.bench import supported
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.colours import COLOURS, SYNC
from gateway.testing.conformance.faults import as_faults
from gateway.testing.conformance.subject import Subject

if TYPE_CHECKING:
    import pytest

__all__ = ["ALWAYS", "Case", "Suite", "area_of", "check", "checks_of", "over", "rows"]

ALWAYS = ("capabilities", "authentication", "redaction", "settings", "rate-limit")
"""Areas that every adapter is examined in, whatever it declares."""

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of a check: of which area and row of the table, in which colour, and with what."""

    area: str
    operation: str = ""
    variant: str = ""
    colour: str = SYNC
    call: Call | None = None
    what: Any = None
    label: str = ""
    sample: int = 1
    """Which of the row's samples."""

    @property
    def id(self) -> str:
        row = f"{self.operation}:{self.variant}" if self.variant else self.operation
        sample = f"sample-{self.sample}" if self.sample > 1 else ""
        return "-".join(part for part in (row, sample, self.label, self.colour) if part)


Cases = Callable[["Suite"], Iterable[Case]]


def area_of(operation: str) -> str:
    """The area of an operation: `orders` of `orders.create`."""
    return operation.partition(".")[0]


def check(cases: Cases) -> Callable[[F], F]:
    """Make a method `(self, bench, case)` a check that runs once for each case."""

    def mark(function: F) -> F:
        checked: Any = as_faults(function)
        checked.cases = cases
        return checked  # type: ignore[no-any-return]

    return mark


def checks_of(suite: type[Suite]) -> Iterator[tuple[str, Cases]]:
    """The checks of a suite by their names: the quick ones that need no call first, what goes wrong last."""
    seen: set[str] = set()
    kinds = [kind for kind in suite.__mro__ if issubclass(kind, Suite)]
    for kind in sorted(kinds, key=lambda kind: kind.turn):
        for name in vars(kind):
            cases = getattr(getattr(suite, name), "cases", None) if name not in seen else None
            if cases is not None:
                seen.add(name)
                yield name, cases


class Suite:
    """The base of all suites. A test class that inherits one says whom it examines: `subject = AcmeSubject`."""

    subject: ClassVar[type[Subject]]
    areas: ClassVar[frozenset[str]] = frozenset()
    """What of the table the general checks are about."""
    turn: ClassVar[int] = 5
    """When its checks are run by `examine`."""

    def examined(self) -> Subject:
        subject = getattr(self, "subject", None)
        if not (isinstance(subject, type) and issubclass(subject, Subject)):
            raise ConfigurationError(
                f"{type(self).__name__} does not say whom it examines",
                hint="subject = …, a subclass of gateway.testing.conformance.Subject",
            )
        return subject()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "case" in metafunc.fixturenames:
            from gateway.testing.conformance.session import parametrize

            parametrize(self, metafunc)


def rows(suite: Suite, wanted: Callable[[Call], bool] = lambda call: True) -> Iterator[Case]:
    """A case for every supported row of the suite's areas that the subject has a call for."""
    subject = suite.examined()
    calls = {(call.operation, call.variant): call for call in subject.calls()}
    for row in supported(subject):
        call = calls.get((row.operation, row.variant))
        if area_of(row.operation) in suite.areas and call is not None and wanted(call):
            yield Case(area=area_of(row.operation), operation=row.operation, variant=row.variant, call=call, colour="")


def _each_sample(cases: Iterable[Case]) -> Iterator[Case]:
    for case in cases:
        yield case
        for number, call in enumerate(case.call.others if case.call is not None else (), 2):
            yield replace(case, call=call, sample=number)


def over(
    wanted: Callable[[Call], bool] = lambda call: True,
    *,
    colours: Iterable[str] = COLOURS,
    what: Callable[[Subject, Call], Iterable[tuple[str, Any]]] | None = None,
    only: Callable[[Case], bool] = lambda case: True,
) -> Cases:
    """A case for every such row, colour, and label and thing of `what`, of which those count that `only` lets pass."""

    def cases(suite: Suite) -> Iterator[Case]:
        for case in _each_sample(rows(suite, wanted)):
            assert case.call is not None
            for label, thing in what(suite.examined(), case.call) if what else [("", None)]:
                made = (replace(case, colour=colour, label=label, what=thing) for colour in colours)
                yield from filter(only, made)

    return cases
