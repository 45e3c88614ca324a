"""What becomes of the provider's books: a read leaves them as they are, a write does not."""

from __future__ import annotations

from typing import Any

from gateway.capabilities import OPERATIONS
from gateway.testing.conformance.bench import Bench
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.faults import fault

__all__ = ["changes_what_it_should"]


def changes_what_it_should(bench: Bench, call: Call, before: dict[str, Any]) -> None:
    """Compare the sandbox's ledger with that before the call. One that is empty tells nothing: recorded answers."""
    now = bench.tapped.ledger()
    if not before and not now:
        return
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    method = OPERATIONS[call.operation].method
    if changed and not call.is_write:
        fault(
            f"{call.name} only reads, and changed something at the provider: {', '.join(changed)}",
            expected="the ledger of the sandbox as it was before",
            found="; ".join(f"{name}: {_difference(before.get(name), now.get(name))}" for name in changed),
            look_at=f"{method} of the adapter, and its POST requests",
        )
    if call.is_write and not changed and not call.operation.startswith("keys."):
        fault(
            f"{call.name} was done, as the adapter says, and nothing has changed at the provider",
            expected="something else than before in the ledger of the sandbox",
            look_at=f"{method} of the adapter; or ledger() of the sandbox, where this is not in it",
        )


def _difference(before: Any, now: Any) -> str:
    if isinstance(before, list) and isinstance(now, list):
        new = [item for item in now if item not in before]
        gone = [item for item in before if item not in now]
        return f"{len(new)} new or changed {str(new)[:120]}, {len(gone)} no longer there"
    return f"{str(before)[:120]} became {str(now)[:120]}"
