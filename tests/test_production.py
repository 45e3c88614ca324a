"""docs/production.md and what lies in docs/deploy: every command in them exists, and the parts fit together."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from gateway.cli.app import build
from gateway.config import WorkerSettings, check_settings
from gateway.plugins import load_plugins
from gateway.store.postgresql import CONNECTIONS
from gateway.worker import procrastinate

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
DEPLOY = ROOT / "docs" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
GRACE = WorkerSettings().grace


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "gateway-worker.service")
    return parser


def written() -> Iterator[list[str]]:
    """Every command of ours, without the word `gateway`: in blocks, in the text, in the unit and for the containers."""
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        yield from (shlex.split(line, comments=True)[1:] for line in block.splitlines() if line.startswith("gateway "))
    yield from (shlex.split(line)[1:] for line in re.findall(r"`(gateway [^`]+)`", PAGE.replace("\n", " ")))
    service = (DEPLOY / "gateway-worker.service").read_text(encoding="utf-8")
    yield from (shlex.split(line)[1:] for line in re.findall(r"(?m)^ExecStart=(.*)$", service))
    yield COMPOSE["services"]["worker"]["command"][1:]


COMMANDS = [pytest.param(words, id=" ".join(words)) for words in {tuple(words): words for words in written()}.values()]


def test_the_commands_are_found() -> None:
    names = {" ".join(words[:2]) for words in written()}
    assert {"worker --app", "journal list", "store check", "store prune", "doctor"} <= names


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_exists(words: list[str]) -> None:
    found: Any = get_command(build(load_plugins()))
    names = list(words)
    while isinstance(found, TyperGroup):
        assert names, f"{words} is no command"
        assert names[0] in found.commands, f"there is no `gateway {' '.join(words)}`"
        found = found.commands[names.pop(0)]
    if not names:
        return  # named, and not written out
    found.make_context(found.name, names).close()  # raises on what it does not take


def test_the_configuration_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CALLBACK_KEY", "0123456789abcdef0123456789abcdef")
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    settings = check_settings(tomllib.loads(block))
    assert settings.worker.grace == GRACE
    assert settings.store.endswith("?schema=gateway")


def test_what_the_page_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    store, queue = CONNECTIONS + 1, procrastinate.CONNECTIONS + 1
    assert f"up to {store} for each process" in PAGE
    assert f"({CONNECTIONS}, and one for its locks), and up to {queue} more for each worker" in PAGE
    assert f"2 × {store + queue} + 4 × {store} = {2 * (store + queue) + 4 * store}" in PAGE
    stalled = int(WorkerSettings().stalled_after.total_seconds())
    assert f"`worker.stalled_after` ({stalled} s)" in PAGE


def test_the_unit_gives_what_is_under_way_its_time(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert timedelta(seconds=int(service["TimeoutStopSec"])) > GRACE
    assert service["Restart"] == "always"
    assert service["LimitCORE"] == "0"
    assert "KillSignal" not in service  # SIGTERM


def test_so_do_the_containers() -> None:
    services = COMPOSE["services"]
    stop = re.fullmatch(r"(\d+)s", services["worker"]["stop_grace_period"])
    assert stop is not None
    assert timedelta(seconds=int(stop[1])) > GRACE
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["database"]["condition"] == "service_healthy"
        assert services[name]["build"]["dockerfile"] == "docs/deploy/Dockerfile"
        assert (DEPLOY / services[name]["build"]["context"]).resolve() == ROOT.resolve()
    assert services["worker"]["deploy"]["replicas"] > 1
    most = int(services["database"]["command"][-1].removeprefix("max_connections="))
    assert most > 2 * (CONNECTIONS + 1 + procrastinate.CONNECTIONS + 1) + CONNECTIONS + 1


def test_no_secret_stands_in_the_files() -> None:
    for name in ("compose.yaml", "Dockerfile", "gateway-worker.service"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        assert not re.search(r"(?i)password|secret|_key|token", "\n".join(lines)), name


def test_the_image_is_made_of_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r'"/src\[([a-z,]+)\]"', text)
    assert set(named.split(",")) <= set(extras)
    assert any("procrastinate" in line for line in extras["worker"])
    (first, *_) = re.findall(r"(?m)^COPY (.*) /src/$", text)
    assert all((ROOT / name).exists() for name in first.split())
