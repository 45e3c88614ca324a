"""The pytest plugin: what pytest finds when the distribution is installed.

The conformance kit is a part of it only for whoever uses it: nothing of it is imported before a suite of the kit is
collected or a report of it arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.testing.fixtures import gateway_sandbox, gateway_sandbox_settings, sandbox_gateway

if TYPE_CHECKING:
    from gateway.testing.conformance.session import Verdict

__all__ = ["gateway_sandbox", "gateway_sandbox_settings", "sandbox_gateway"]

_PROPERTY = "gateway_conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("gateway", "crypto-gateway").addoption(
        "--gateway-report",
        metavar="FILE",
        default=None,
        help="write what the conformance kit proved of an adapter, for `gateway conformance FILE`",
    )


def pytest_configure(config: pytest.Config) -> None:
    # With several workers, those send their records to the process that was started, and only that one judges.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Listener(config), "gateway-conformance")


class _Listener:
    """Waits for the kit's records among the reports of tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._verdict: Verdict | None = None
        if config.getoption("--gateway-report"):
            self._judge()

    def _judge(self) -> Verdict:
        if self._verdict is None:
            from gateway.testing.conformance.session import Verdict

            self._verdict = Verdict(self._config)
            self._config.pluginmanager.register(self._verdict, "gateway-conformance-verdict")
        return self._verdict

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY and report.when in ("setup", "call") and isinstance(value, dict):
                self._judge().add(value)
