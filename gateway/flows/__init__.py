"""Flows: what needs the engine and the store together. Generators of effects, written once for both colours.

The modules are imported when they are first used: they bring the HTTP and SQL libraries with them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.flows import callbacks as callbacks
    from gateway.flows import cards as cards
    from gateway.flows import customers as customers
    from gateway.flows import delivering as delivering
    from gateway.flows import freezing as freezing
    from gateway.flows import keeping as keeping
    from gateway.flows import keys as keys
    from gateway.flows import orders as orders
    from gateway.flows import reads as reads
    from gateway.flows import reconciling as reconciling
    from gateway.flows import refunds as refunds
    from gateway.flows import settling as settling
    from gateway.flows import trades as trades
    from gateway.flows import watching as watching
    from gateway.flows import withdrawals as withdrawals


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return importlib.import_module(f"{__name__}.{name}")
