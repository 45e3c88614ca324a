"""The kit under pytest: one test for every case, and at the end what was proved.

Records travel as properties of the tests' reports, so that a run over several workers is judged as a whole.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.conformance.bench import Bench
from gateway.testing.conformance.cases import Case, Suite, checks_of
from gateway.testing.conformance.report import Record, Report
from gateway.testing.conformance.subject import Subject

__all__ = ["PROPERTY", "Verdict", "parametrize"]

PROPERTY = "gateway_conformance"
_RECORDER = "gateway-conformance-recorder"


def parametrize(suite: Suite, metafunc: pytest.Metafunc) -> None:
    """Make a test of every case of a check."""
    recorder = _recorder(metafunc.config)
    cases = dict(checks_of(type(suite)))[metafunc.function.__name__]
    found = list(cases(suite))
    bench = recorder.bench(type(suite.examined()))
    metafunc.parametrize(
        ("bench", "case"), [(bench, case) for case in found], ids=[case.id or "all" for case in found], scope="function"
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
        self._told: set[str] = set()

    def bench(self, subject: type[Subject]) -> Bench:
        return self._benches.setdefault(subject, Bench(subject()))

    def close(self) -> None:
        for bench in self._benches.values():
            bench.close()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # A check without cases is about what the adapter does not declare: not a test that is skipped.
        items[:] = [item for item in items if not _is_check(item) or isinstance(_parameters(item).get("case"), Case)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        case, bench = _parameters(item).get("case"), _parameters(item).get("bench")
        if not isinstance(case, Case) or not isinstance(bench, Bench):
            return report
        if report.when == "call" or (report.failed and report.when == "setup"):
            message = "" if report.passed else str(call.excinfo.value if call.excinfo else report.longrepr)
            name = getattr(item, "originalname", item.name)
            title = bench.subject.title
            record = Record.of(bench.subject, case, name, message, table=title not in self._told)
            self._told.add(title)
            if not report.skipped:
                report.user_properties.append((PROPERTY, record.to_dict()))
        return report


def _is_check(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "function", None), "cases")


def _parameters(item: pytest.Item) -> dict[str, Any]:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters


class Verdict:
    """Gathers the records of a whole run and judges it. Registered when the first record is seen."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._records: list[Record] = []
        self._deselected = False
        self.report: Report | None = None

    def add(self, data: dict[str, Any]) -> None:
        self._records.append(Record.from_dict(data))

    @property
    def _is_partial(self) -> bool:
        option = self._config.option
        chosen = any("::" in argument for argument in self._config.args)
        narrowed = any(getattr(option, name, None) for name in ("keyword", "markexpr", "lf", "stepwise", "deselect"))
        return chosen or narrowed

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        complete = not self._is_partial and not session.shouldstop and not session.shouldfail
        self.report = Report.of(self._records, complete=complete)
        if complete and self.report.not_proved() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        where = self._config.getoption("--gateway-report")
        if where:
            self.report.write(Path(where))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.report is None:
            return
        if not self.report.complete:
            if self._config.getoption("--gateway-report"):
                terminalreporter.write_line("conformance: only a part was run, so nothing is said of what is missing")
            return
        missing = self.report.not_proved()
        if missing:
            terminalreporter.section("conformance: declared and not exercised")
            for words in missing:
                terminalreporter.write_line(words)
