"""What the kit's own suites ask of a subject, so that a check which did not run, or was another one, is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from gateway.testing.conformance.cases import Suite, checks_of
from gateway.testing.conformance.subject import Subject

__all__ = ["Due", "altered", "due_of", "is_a_flavour", "is_of_the_kit"]


class Due(NamedTuple):
    """One case that has to be examined. `of_flavours`: with every flavour of an account, not with one alone."""

    check: str
    area: str
    operation: str
    variant: str
    case: str
    of_flavours: bool


def due_of(subject: type[Subject]) -> list[Due]:
    """Every case of every check of `Conformance`, whatever the author's test classes made of them."""
    from gateway.testing.conformance.suites import Conformance, FlavourConformance

    flavours = {name for name, _ in checks_of(FlavourConformance)}
    standard = type("Standard", (Conformance,), {"subject": subject})
    return [
        Due(name, case.area, case.operation, case.variant, case.id, name in flavours)
        for name, cases in checks_of(standard)
        for case in cases(standard())
    ]


def is_a_flavour(examiners: Iterable[type]) -> bool:
    """Whether a subject is one more flavour of an account, by the test classes that examine it."""
    from gateway.testing.conformance.suites import Conformance, FlavourConformance

    found = list(examiners)
    return any(issubclass(kind, FlavourConformance) for kind in found) and Conformance not in {
        base for kind in found for base in kind.__mro__
    }


def is_of_the_kit(name: str, function: Any) -> bool:
    """False for a check of the kit's name that is another function."""
    from gateway.testing.conformance.suites import Conformance

    own = getattr(Conformance, name, None)
    return own is None or function is own


def altered(examiners: Iterable[type], checks: Iterable[str]) -> dict[str, str]:
    """Checks that a test class inherits and has made something else of, with what."""
    names = set(checks)
    found: dict[str, str] = {}
    for kind in sorted(examiners, key=lambda kind: kind.__name__):
        for name in sorted(names):
            inherits = any(issubclass(base, Suite) and _is_kits(base) and name in vars(base) for base in kind.__mro__)
            now = getattr(kind, name, None)
            if inherits and not is_of_the_kit(name, now):
                found[name] = f"{kind.__name__} {'switches it off' if now is None else 'overrides it'}"
    return found


def _is_kits(kind: type) -> bool:
    return kind.__module__.startswith("gateway.testing.conformance.")
