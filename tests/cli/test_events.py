"""`gateway events`: what happened, as text, as one document and as a stream; dead deliveries seen and made again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from cli.conftest import COMMAND, TIMEOUT, Run
from events.working import happen
from events.working import shop as working
from gateway import Event
from support.printed import document, failure


@pytest.fixture
def store(folder: Path) -> str:
    """A configuration of nothing but a store, with three events in it."""
    url = f"sqlite:///{folder / 'gateway.db'}"
    (folder / "gateway.toml").write_text(f'store = "{url}"\n', encoding="utf-8")
    with working(store=url) as worker:
        happen(worker, "created cart-1", "paid cart-1", "refund.created ref-1")
    return url


def table(result: Result) -> list[list[str]]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_the_newest_come_last(cli: Run, store: str) -> None:
    titles, *rows = table(cli("events", "tail"))
    assert titles[:4] == ["event", "at", "type", "reference"]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("1", "order.created", "cart-1"),
        ("2", "order.paid", "cart-1"),
        ("3", "refund.created", "ref-1"),
    ]
    found = document(cli("events", "tail", "--limit", "2", "--json"))
    assert [event["id"] for event in found] == [2, 3]
    assert set(found[0]) == set(Event.model_fields)


def test_some_of_them(cli: Run, store: str) -> None:
    def numbers(*words: str) -> list[int]:
        return [event["id"] for event in document(cli("events", "tail", *words, "--json"))]

    assert numbers("--since", "1") == [2, 3]
    assert numbers("--since", "0", "--type", "order.*") == [1, 2]
    assert numbers("--type", "refund.created", "--type", "order.paid") == [2, 3]
    assert numbers("--subject", "order cart-1") == [1, 2]
    assert numbers("--since", "3") == []
    refused = failure(cli("events", "tail", "--type", "order.payed", "--json"))
    assert refused["hint"] == "did you mean order.paid?"


@pytest.mark.parametrize("as_json", [False, True])
def test_it_goes_on_with_those_that_come(folder: Path, store: str, as_json: bool) -> None:
    words = ["events", "tail", "--follow", "--since", "1", "--type", "order.*", *(["--json"] if as_json else [])]
    child = subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert child.stdout is not None
        seen = [child.stdout.readline()] if not as_json else []
        seen.append(child.stdout.readline())
        with working(store=store) as worker:
            happen(worker, "refunded cart-1", "withdrawal.created w-1", "created cart-2")
        seen += [child.stdout.readline(), child.stdout.readline()]
        child.send_signal(signal.SIGINT)
        rest, said = child.communicate(timeout=TIMEOUT)
    finally:
        child.kill()
        child.communicate()
    assert (child.returncode, rest, said) == (130, "", "error: interrupted\n")
    if as_json:
        assert [json.loads(line)["type"] for line in seen] == ["order.paid", "order.refunded", "order.created"]
    else:
        lines = [line.split("\t") for line in seen]
        assert [line[2] for line in lines] == ["type", "order.paid", "order.refunded", "order.created"]


@pytest.fixture
def dead(store: str) -> str:
    """The handler `mail` has given up on both events of the order; `books` has done everything."""

    def mail(event: Event) -> None:
        raise ValueError("no address\x1b[31m")

    with working(store=store) as worker:
        worker.gw.raw.on("order.*", name="mail", tries=1)(mail)
        worker.gw.raw.on("*", name="books")(lambda event: None)
        worker.work()
    return store


def test_handlers_and_what_they_failed_at(cli: Run, dead: str) -> None:
    assert document(cli("events", "handlers", "--json")) == [
        {"name": "books", "cursor": 3, "behind": 0, "waiting": 0, "dead": 0},
        {"name": "mail", "cursor": 3, "behind": 0, "waiting": 0, "dead": 2},
    ]
    assert table(cli("events", "handlers"))[1:] == [["books", "3", "0", "0", "0"], ["mail", "3", "0", "0", "2"]]
    titles, *rows = table(cli("events", "dead"))
    assert titles == ["handler", "event", "type", "reference", "tries", "given up at", "error"]
    assert [row[:5] for row in rows] == [
        ["mail", "2", "order.paid", "cart-1", "1"],
        ["mail", "1", "order.created", "cart-1", "1"],
    ]
    assert rows[0][-1] == "ValueError: no address\\x1b[31m", "no terminal obeys it"
    (newest,) = document(cli("events", "dead", "--limit", "1", "--json"))
    assert (newest["handler"], newest["event"]["id"], newest["state"]) == ("mail", 2, "dead")
    assert document(cli("events", "dead", "--handler", "books", "--json")) == []


def test_dead_deliveries_are_made_again_by_the_next_worker(cli: Run, dead: str) -> None:
    assert document(cli("events", "replay", "mail", "--event", "2", "--yes", "--json")) == {"replayed": 1}
    assert cli("events", "replay", "--yes").stdout == "1 to be delivered again by the worker\n"
    assert document(cli("events", "replay", "--yes", "--json")) == {"replayed": 0}
    seen: list[int] = []
    with working(store=dead) as worker:
        worker.gw.raw.on("order.*", name="mail")(lambda event: seen.append(event.id))
        worker.work()
        assert seen == [1, 2]
    again = ("events", "replay", "mail", "--subject", "order cart-1", "--done", "--yes", "--json")
    assert document(cli(*again)) == {"replayed": 2}
    with working(store=dead) as worker:
        worker.gw.raw.on("order.*", name="mail")(lambda event: seen.append(event.id))
        worker.work()
    assert seen == [1, 2, 1, 2]


def test_what_is_replayed_has_to_be_said(cli: Run, dead: str) -> None:
    assert failure(cli("events", "replay", "nobody", "--yes", "--json"))["hint"] == "there are books, mail"
    refused = failure(cli("events", "replay", "mail", "--done", "--yes", "--json"))
    assert "only to one handler" in refused["message"]
    assert cli("events", "replay").exit_code == 2


def test_and_confirmed(cli: Run, dead: str, asked: Any) -> None:
    result = asked("events", "replay", "mail", answer="n\n")
    assert "Deliver what is dead again to mail?" in result.stderr
    assert result.exit_code == 1
    assert len(document(cli("events", "dead", "--json"))) == 2
