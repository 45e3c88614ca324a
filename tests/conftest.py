"""What holds for every test: loopback only, no settings from the developer's shell, no luck in CI."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import loopback_only
from support.postgres import (  # noqa: F401 - fixtures for every test
    empty_postgres,
    other_postgres,
    postgres,
    postgres_server,
)

TESTS = Path(__file__).parent
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

# As early as this, so that collecting tests, test workers and child processes are under the same rules.
loopback_only.install()
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(TESTS / "child_processes"), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
)
for _name in list(os.environ):
    if _name.startswith(("GATEWAY_", "PG")) or _name.lower() in PROXIES:
        del os.environ[_name]

# A shell starts what runs in its background with interrupts ignored, and children inherit that: tests that interrupt a
# child would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is no failure, so no deadline. The gate tries the same examples every time;
# `HYPOTHESIS_PROFILE=long` looks for new ones, and for longer.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
    print_blob=True,
)
settings.register_profile("long", settings.get_profile("default"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def blocked_attempts() -> Iterator[list[str]]:
    """This test's attempts to leave the machine. Any left at its end fail it; a test that means them clears it."""
    loopback_only.attempts.clear()
    yield loopback_only.attempts
    if loopback_only.attempts:
        pytest.fail("tried to leave this machine: " + "; ".join(loopback_only.attempts))
