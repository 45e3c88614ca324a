"""Processes that die at a chosen step. Reads jobs from standard input, one a line, and says how each ended.

It imports everything once and forks for every job, so that a step costs milliseconds. A step is one effect of the
flow, counted from 0. `before` it, the process dies with nothing of it begun; `inside` a transaction it dies when the
work is done and not committed, and otherwise when the effect has been carried out and nobody knows.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from gateway import Gateway
from gateway.engine import drivers
from gateway.engine.effects import Transact
from gateway.errors import GatewayError
from gateway.models import OrderRequest, WithdrawalRequest
from gateway.store import database

IMPORTED = (drivers, database)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def instrument(gateway: Gateway, step: int, when: str) -> None:
    driver: Any = gateway._driver
    carry_out: Callable[[Any], Any] = driver._carry_out
    taken = 0

    def dying(effect: Any) -> Any:
        nonlocal taken
        here, taken = taken, taken + 1
        if here != step:
            return carry_out(effect)
        if when == "before":
            die()
        if not isinstance(effect, Transact):
            try:
                carry_out(effect)
            finally:
                die()

        def work(connection: Any) -> None:
            effect.work(connection)
            die()

        return carry_out(Transact(work))

    driver._carry_out = dying


def act(job: dict[str, Any]) -> None:
    with Gateway(store=job["store"], accounts=job["accounts"], routes=job.get("routes")) as gateway:
        instrument(gateway, job["step"], job["when"])
        request = job["request"]
        if job["action"] in ("order", "routed order"):
            gateway.orders.create(OrderRequest(**request), account=job.get("account"))
        elif job["action"] == "renewal":
            gateway.orders.renew(request["reference"], account=job["account"])
        else:
            gateway.withdrawals.create(WithdrawalRequest(**request), account=job["account"])


def forked(job: dict[str, Any]) -> str:
    child = os.fork()
    if child == 0:
        try:
            act(job)
        except GatewayError:
            os._exit(3)
        except BaseException:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(4)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "died" if os.WTERMSIG(status) == signal.SIGKILL else "crashed"
    return {0: "ended", 3: "refused"}.get(os.WEXITSTATUS(status), "crashed")


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(forked(json.loads(line)) + "\n")
        sys.stdout.flush()
