"""What the child processes of the store's tests do: `child.py COMMAND URL …`. Each waits for a line before it acts."""

from __future__ import annotations

import json
import sys
from typing import Any

from sqlalchemy import Connection

from gateway.contracts.settings import Limits
from gateway.errors import GatewayError, LimitExceeded
from gateway.store import journal, withdrawals
from gateway.store.database import Database
from gateway.store.numbers import next_number
from store.samples import NOW, begin, make_payout, payout


def say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def wait() -> None:
    """For the next line, or the end of the parent's patience."""
    sys.stdin.readline()


def opens(url: str) -> None:
    say("ready")
    wait()
    try:
        with Database.open(url) as database:
            say(database.check()["schema"])
    except GatewayError as error:
        say(str(error))


def begins(url: str) -> None:
    """Begin the write, and stay alive with it."""
    with Database.open(url) as database:
        say("ready")
        wait()
        _, begun = database.transaction(begin(database.owner()))
        say(begun.value)
        wait()


def sends(url: str) -> None:
    """Begin the write, record that it leaves, and stay alive with it."""
    with Database.open(url) as database:
        say("ready")
        wait()
        entry, begun = database.transaction(begin(database.owner()))
        database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW, owner=entry.owner))
        say(begun.value)
        wait()


def pays(url: str, name: str) -> None:
    """Ten payouts of 1 BTC, within 5 BTC a day."""
    limits = Limits(per_day="5 BTC")
    done = 0
    with Database.open(url) as database:
        say("ready")
        wait()
        for number in range(10):
            request = payout(f"{name}-{number}", "1")

            def work(connection: Connection, request: Any = request) -> None:
                withdrawals.check_brakes(
                    connection, account="shop", limits=limits, amount=request.amount, destination="x", now=NOW
                )
                make_payout(connection, request)

            try:
                database.transaction(work)
            except LimitExceeded:
                continue
            done += 1
        say(done)


def numbers(url: str, many: str) -> None:
    with Database.open(url) as database:
        say("ready")
        wait()
        say([database.transaction(lambda connection: next_number(connection, "key", 1000)) for _ in range(int(many))])


def lane(url: str, name: str) -> None:
    """Enter the lane and stay in it."""
    with Database.open(url) as database:
        say("ready")
        wait()
        token = database.enter_lane(name, 20)
        say("in")
        wait()
        database.leave_lane(token)


if __name__ == "__main__":
    {"opens": opens, "begins": begins, "sends": sends, "pays": pays, "numbers": numbers, "lane": lane}[sys.argv[1]](
        *sys.argv[2:]
    )
