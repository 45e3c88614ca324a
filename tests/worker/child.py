"""A worker as a process of its own, with the toy jobs: `child.py STORE SETTINGS [ticks]`. It says what it logs."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading

from gateway import Gateway
from gateway.engine.drivers import AsyncDriver
from gateway.worker.running import work
from gateway.worker.stopping import stopping
from worker.toys import ticking, toy_kinds


class Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        sys.stdout.write(f"{record.getMessage()}\n")
        sys.stdout.flush()


async def main(gateway: Gateway, ticks: bool) -> None:
    core = gateway._core
    driver = AsyncDriver(core.connection, core.database, committed=core.committed)
    try:
        with stopping(None, signals=True) as stop:
            await work(core, driver, stop, until_idle=False, kinds=toy_kinds() | (ticking() if ticks else {}))
    finally:
        await driver.close()


if __name__ == "__main__":
    logger = logging.getLogger("gateway.worker")
    logger.addHandler(Said())
    logger.setLevel(logging.INFO)
    settings = json.loads(sys.argv[2])
    assert threading.current_thread() is threading.main_thread()
    with Gateway(store=sys.argv[1], worker=settings) as opened:
        asyncio.run(main(opened, "ticks" in sys.argv[3:]))
