"""Workers whose processes are killed: `killed_child.py STORE LOG` reads steps, one a line, and says how each ended.

It imports everything once and forks for every line. A worker lives for so many steps: what comes before a transaction,
inside it when its work is done and not committed, and after it; and before and after what its handler does. The
handler writes every event that it was called with to the log, and syncs it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from events.working import Worker, shop
from gateway import Event


def main(store: str, log: str, step: int) -> None:
    left = step

    def may_die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def handle(event: Event) -> None:
        may_die()
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{event.id}\n")
            file.flush()
            os.fsync(file.fileno())
        may_die()

    with shop(store=store) as worker:
        worker.gw.raw.on("*", name="it")(handle)
        instrument(worker, may_die)
        worker.work()


def instrument(worker: Worker, may_die: Any) -> None:
    driver: Any = worker.driver
    transact = driver._transact

    async def dying(effect: Any) -> Any:
        may_die()

        def work(connection: Any) -> Any:
            result = effect.work(connection)
            may_die()
            return result

        ended = await transact(type(effect)(work, effect.together))
        may_die()
        return ended

    driver._transact = dying


def forked(store: str, log: str, step: int) -> str:
    child = os.fork()
    if child == 0:
        try:
            main(store, log, step)
        except BaseException:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(4)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) == signal.SIGKILL else "crashed"
    return "ended" if os.WEXITSTATUS(status) == 0 else "crashed"


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(forked(sys.argv[1], sys.argv[2], int(line)) + "\n")
        sys.stdout.flush()
