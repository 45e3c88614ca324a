"""The kit under pytest: one test for every case, and at the end what was proved.

Records travel as properties of the tests' reports, so that a run over several workers is judged as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.testing.conformance.bench import Bench
from gateway.testing.conformance.cases import Case, Cases, Suite, checks_of
from gateway.testing.conformance.report import About, Record, Report
from gateway.testing.conformance.standard import Due, due_of, is_of_the_kit
from gateway.testing.conformance.subject import Subject

__all__ = ["PROPERTY", "Verdict", "parametrize"]

PROPERTY = "gateway_conformance"
_RECORDER = "gateway-conformance-recorder"


def parametrize(suite: Suite, metafunc: pytest.Metafunc) -> None:
    """Make a test of every case of a check."""
    recorder = _recorder(metafunc.config)
    cases = _cases(suite, metafunc.function.__name__)
    found = list(cases(suite))
    subject = type(suite.examined())
    recorder.ask(subject)
    bench = recorder.bench(subject)
    metafunc.parametrize(
        ("bench", "case"), [(bench, case) for case in found], ids=[case.id or "all" for case in found], scope="function"
    )


def _cases(suite: Suite, name: str) -> Cases:
    """The cases of a check; one that an author wrote over it without saying which has those of the kit's."""
    for kind in type(suite).__mro__:
        cases: Cases | None = getattr(vars(kind).get(name), "cases", None)
        if cases is not None:
            return cases
    raise ConfigurationError(
        f"{type(suite).__name__}.{name} asks for a case, and does not say which there are",
        hint="mark it with @check(…) of gateway.testing.conformance.cases, or name its argument otherwise",
    )


def _recorder(config: pytest.Config) -> Recorder:
    known = config.pluginmanager.get_plugin(_RECORDER)
    if isinstance(known, Recorder):
        return known
    made = Recorder()
    config.pluginmanager.register(made, _RECORDER)
    config.add_cleanup(made.close)
    return made


class Recorder:
    """Keeps the benches of this process, and notes how each case ended. Registered when a suite is collected."""

    def __init__(self) -> None:
        self._benches: dict[type[Subject], Bench] = {}
        self._due: dict[type[Subject], list[Due]] = {}
        self._examiners: dict[type[Subject], list[type]] = {}
        self._told: set[type[Subject]] = set()

    def bench(self, subject: type[Subject]) -> Bench:
        return self._benches.setdefault(subject, Bench(subject()))

    def ask(self, subject: type[Subject]) -> None:
        """Note what has to be examined of this subject: all of it, whichever of its test classes is collected."""
        if subject not in self._due:
            self._due[subject] = due_of(subject)

    def close(self) -> None:
        for bench in self._benches.values():
            bench.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # A check without cases is about what the adapter does not declare: not a test that is skipped.
        items[:] = [item for item in items if not _is_check(item) or isinstance(_parameters(item).get("case"), Case)]
        for item in items:
            kind, bench = getattr(item, "cls", None), _parameters(item).get("bench")
            if isinstance(bench, Bench) and isinstance(kind, type):
                examiners = self._examiners.setdefault(type(bench.subject), [])
                if kind not in examiners:
                    examiners.append(kind)
        _sort(items)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        case, bench = _parameters(item).get("case"), _parameters(item).get("bench")
        if not isinstance(case, Case) or not isinstance(bench, Bench):
            return report
        if report.when == "call" or (not report.passed and report.when == "setup"):
            name = _name(item)
            message = _message(report, call) if report.failed else ""
            record = Record.of(
                bench.subject,
                case,
                name,
                message,
                not_counted="" if message else _not_counted(item, name, report),
                about=self._about(bench.subject),
            )
            report.user_properties.append((PROPERTY, record.to_dict()))
        return report

    def _about(self, subject: Subject) -> About | None:
        kind = type(subject)
        if kind in self._told:
            return None
        self._told.add(kind)
        return About.of(subject, self._due.get(kind, ()), self._examiners.get(kind, ()))


def _message(report: pytest.TestReport, call: pytest.CallInfo[Any]) -> str:
    return str(call.excinfo.value if call.excinfo else report.longrepr) or "it failed without a word"


def _not_counted(item: pytest.Item, name: str, report: pytest.TestReport) -> str:
    """Why this run of a check proves nothing, though it did not fail."""
    owner = getattr(item, "cls", None)
    if not is_of_the_kit(name, getattr(item, "function", None)):
        return f"{getattr(owner, '__name__', 'a test class')} overrides it"
    if hasattr(report, "wasxfail"):
        return "it is marked as one that is expected to fail (xfail)"
    if report.skipped:
        return "it was skipped"
    return ""


def _sort(items: list[pytest.Item]) -> None:
    """Of each test class, the quick checks that need no call first, so that a run with -x begins with the cause."""
    blocks: dict[type, list[int]] = {}
    for index, item in enumerate(items):
        kind = getattr(item, "cls", None)
        if _is_check(item) and isinstance(kind, type) and issubclass(kind, Suite):
            blocks.setdefault(kind, []).append(index)
    for kind, found in blocks.items():
        these = [items[index] for index in found]
        ordered = [item for name, _ in checks_of(kind) for item in these if _name(item) == name]
        for index, item in zip(found, ordered, strict=True):
            items[index] = item


def _name(item: pytest.Item) -> str:
    return str(getattr(item, "originalname", item.name))


def _is_check(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "function", None), "cases")


def _parameters(item: pytest.Item) -> dict[str, Any]:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters


class Verdict:
    """Gathers the records of a whole run and judges it. Registered when the first record is seen, or at once where a
    report is to be written: a place where none can be written is a UsageError before anything is run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._records: list[Record] = []
        self._broken: list[str] = []
        self._unwritten = ""
        self.report: Report | None = None
        where = self._where
        if where is not None and (reason := _not_writable(where)):
            raise pytest.UsageError(f"--gateway-report={where}: {reason}")

    def add(self, data: dict[str, Any]) -> None:
        self._records.append(Record.from_dict(data))

    @property
    def _where(self) -> Path | None:
        where = self._config.getoption("--gateway-report")
        return Path(where) if where else None

    @property
    def _is_partial(self) -> bool:
        option = self._config.option
        chosen = any("::" in argument for argument in self._config.args)
        narrowed = any(getattr(option, name, None) for name in ("keyword", "markexpr", "lf", "stepwise", "deselect"))
        return chosen or narrowed

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        whole = not self._is_partial and not session.shouldstop and not session.shouldfail
        self.report = Report.of(self._records, complete=whole, broken=dict.fromkeys(self._broken))
        if whole and self.report.not_proved() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._where is not None:
            try:
                self.report.write(self._where)
            except OSError as error:
                self._unwritten = f"the report could not be written to {self._where}: {error.strerror}"
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._unwritten:
            terminalreporter.write_line(f"conformance: {self._unwritten}")
        if self.report is None:
            return
        if left := self.report.left_to_fill_in:
            terminalreporter.section(f"left to fill in: {len(left)}")
            for place in left:
                terminalreporter.write_line(place)
            terminalreporter.write_line("what is proved is proved of what was made up there")
        if not self.report.whole:
            if self._where is not None:
                terminalreporter.write_line("conformance: only a part was run, so nothing is said of what is missing")
            return
        missing = self.report.not_proved()
        if missing:
            terminalreporter.section("conformance: not proved")
            for words in missing:
                terminalreporter.write_line(words)


def _not_writable(where: Path) -> str:
    if where.is_dir():
        return "it is a folder, and has to be a file"
    if not where.parent.is_dir():
        return f"there is no folder {where.parent}"
    if not os.access(where if where.exists() else where.parent, os.W_OK):
        return "it cannot be written"
    return ""
