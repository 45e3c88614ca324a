"""What the store and the journal add to a payout: all of `withdrawals.create`, against the provider operation alone.

Both are in the same process, over a mock transport, with the same answer. The operation alone is what a payout would be
if nobody wrote down that it was about to be made.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import httpx

from benchmarks import postgres
from benchmarks.measuring import Row, interleaved
from gateway import CryptoAddress, Money, WithdrawalRequest, flows
from gateway.config import load_settings
from gateway.contracts import CreatesWithdrawals, NewWithdrawal
from gateway.core import Core
from gateway.engine.drivers import SyncDriver
from gateway.engine.http import Connection, SyncTransport
from gateway.engine.perform import Begun, Performance, perform
from gateway.models import WithdrawalStatus
from gateway.plugins import load_plugins

__all__ = ["rows"]

_ACCOUNT = {
    "provider": "aurpay",
    "environment": "live",
    "base_url": "http://127.0.0.1:9",  # nothing listens there, and nothing is sent
    "auth": {"kind": "signature", "api_token": "benchmark-token", "api_secret": "benchmark-secret-1234"},
    "allow_inferred": ["withdrawals.create:address"],
    "limits": {"destinations": ["TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"], "per_withdrawal": "60 USDT@tron"},
    "withdraw": {
        "path": "/payout",
        "amount": "amount",
        "amount_as": "number",
        "currency": "currency",
        "chain": "chain",
        "address": "address",
    },
}
_TO = CryptoAddress("TJRabPrwbZy45sbavfcjinPJC18kjpRTv8")


def rows(*, quick: bool = False) -> list[Row]:
    rounds, payouts = (1, 2) if quick else (9, 20)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        stores = {"SQLite": f"sqlite:///{Path(folder, 'bench.db')}", "PostgreSQL": postgres.fresh()}
        return [
            Row(
                f"a payout with store and journal ({name}, synced to disk), over one without",
                "ms",
                *_compared(store, rounds, payouts),
                difference=True,
            )
            for name, store in stores.items()
        ]


def _compared(store: str, rounds: int, payouts: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    core = Core(load_settings(accounts={"shop": _ACCOUNT}, store=store), load_plugins())
    driver = SyncDriver(core.connection, core.database, transport=_mocked)
    account = core.account("shop")
    numbers = count(1)

    def request() -> WithdrawalRequest:
        return WithdrawalRequest(reference=f"payout-{next(numbers)}", amount=Money("25.01", "USDT@tron"), to=_TO)

    def recorded() -> WithdrawalStatus:
        return driver.run(flows.withdrawals.create(core, request(), account="shop", seconds=None)).status

    def alone() -> WithdrawalStatus:
        new = NewWithdrawal(request=request(), requested_at=core.now())
        begun = Begun(account.able(CreatesWithdrawals).create_withdrawal(new))
        run = Performance(account, "withdrawals.create", core.deadline(None, account))
        return driver.run(perform(run, begun)).status

    try:
        return interleaved(lambda: _milliseconds(recorded, payouts), lambda: _milliseconds(alone, payouts), rounds)
    finally:
        driver.close()
        core.close()


def _mocked(connection: Connection) -> SyncTransport:
    answer = b'{"code":0,"message":"ok","data":{},"result":true}'
    headers = {"Content-Type": "application/json"}
    return SyncTransport(
        connection, httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, content=answer))
    )


def _milliseconds(pay: Callable[[], WithdrawalStatus], payouts: int) -> float:
    """For one payout, on average, in wall time."""
    begun = time.perf_counter()
    for _ in range(payouts):
        if pay() is not WithdrawalStatus.PENDING:
            raise RuntimeError("a payout did not come to be")
    return (time.perf_counter() - begun) / payouts * 1000
