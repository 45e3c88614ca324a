"""The kit without pytest: examine an adapter in this process and get the report."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Collection

from gateway.testing.conformance.bench import Bench
from gateway.testing.conformance.cases import Case, Suite, checks_of
from gateway.testing.conformance.colours import COLOURS
from gateway.testing.conformance.faults import Nonconforming
from gateway.testing.conformance.report import About, Record, Report
from gateway.testing.conformance.standard import due_of, is_of_the_kit
from gateway.testing.conformance.subject import Subject
from gateway.testing.conformance.suites import Conformance

__all__ = ["examine"]


def examine(
    subject: type[Subject],
    *,
    suite: type[Suite] = Conformance,
    colours: Collection[str] = COLOURS,
    checks: Collection[str] | None = None,
    areas: Collection[str] | None = None,
    until_failure: bool = False,
) -> Report:
    """Run every check of the suite on this subject, or those that are named; nothing is raised for what fails.

    `until_failure` stops at the first one. With `checks`, `areas`, one colour or a stop the report is not complete:
    what it does not name was not looked at.
    """
    examined = type("Examined", (suite,), {"subject": subject})
    records: list[Record] = []
    about = About.of(subject(), due_of(subject), [suite])
    stopped = False
    quiet = logging.NullHandler()  # what the gateway warns about is no news of the kit
    logging.getLogger().addHandler(quiet)
    with contextlib.ExitStack() as stack:
        stack.callback(logging.getLogger().removeHandler, quiet)
        bench = stack.enter_context(Bench(subject()))
        for name, cases in checks_of(examined):
            if stopped or (checks is not None and name not in checks):
                continue
            other = "" if is_of_the_kit(name, getattr(examined, name)) else f"{suite.__name__} overrides it"
            for case in cases(examined()):
                if (areas is not None and case.area not in areas) or (case.colour and case.colour not in colours):
                    continue
                message = _message(examined, name, bench, case)
                told = None if records else about
                records.append(Record.of(bench.subject, case, name, message, not_counted=other, about=told))
                if message and until_failure:
                    stopped = True
                    break
    complete = not stopped and checks is None and areas is None and set(COLOURS) <= set(colours)
    return Report.of(records, complete=complete)


def _message(suite: type[Suite], name: str, bench: Bench, case: Case) -> str:
    try:
        getattr(suite(), name)(bench, case)
    except Nonconforming as error:
        return str(error)
    except Exception as error:
        return told(error, f"{name} [{case.id}]")
    return ""


def told(error: Exception, check: str) -> str:
    """An exception that is no verdict of the kit: what the adapter, its sandbox or a sample raised."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {error}\n  in: {check}\n  look at: {place.filename}:{place.lineno} ({place.name}); "
        "the adapter, its sandbox or a sample of the Subject raised it"
    )
