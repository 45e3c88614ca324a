"""Doing one job: what it raises harms nothing else, and everybody who observes the gateway is told how it ended."""

from __future__ import annotations

import logging
from enum import StrEnum

from gateway.errors import GatewayError, Outcome, StoreError
from gateway.observation import Record
from gateway.worker.jobs import Context, Kind

__all__ = ["End", "perform"]

log = logging.getLogger("gateway.worker")


class End(StrEnum):
    """How a job ended."""

    DONE = "done"
    NOTHING = "nothing"
    """It was due, and there was nothing to do: somebody else has done it, or it has to wait after all."""
    FAILED = "failed"
    LOST = "lost"
    """The store could not be used, which is no fault of the job's."""


async def perform(context: Context, kind: Kind, key: str) -> End:
    """Do it. Only a cancellation comes out."""
    core = context.core
    started, start = core.clock.now(), core.clock.monotonic()
    end, fault = End.FAILED, None
    try:
        result = await kind.run(context, key)
        # Only these two say that: most jobs return nothing at all.
        end = End.NOTHING if result is False or (type(result) is int and result == 0) else End.DONE
    except GatewayError as error:
        fault = type(error).__name__
        if isinstance(error, StoreError) and (error.retryable or error.outcome is Outcome.UNKNOWN):
            end = End.LOST
        log.warning("%s %s failed and is done again later: %s", kind.name, key, error)
    except Exception as error:
        fault = type(error).__name__
        log.exception("%s %s failed and is done again later", kind.name, key)
    except BaseException as error:
        fault = type(error).__name__
        log.warning("%s %s was cut short; it is still due", kind.name, key)
        raise
    finally:
        if end is not End.NOTHING:
            core.observe(
                Record(
                    kind="job",
                    account="",
                    provider="",
                    operation=kind.name,
                    subject=key,
                    outcome=("done" if end is End.DONE else "failed"),
                    started_at=started,
                    seconds=core.clock.monotonic() - start,
                    error=fault,
                )
            )
    return end
