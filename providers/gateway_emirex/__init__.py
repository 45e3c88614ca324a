"""The adapter of Emirex, a plugin of crypto-gateway.

Written from the vendor's help article "How does Emirex API work?" (keys, graded D), a third party's engineering profile
of the vendor's technical reference and of live public calls (C), and the sister product Dex-Trade, which serves the
same paths and fields (I). Nothing here was run against the live service.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.contracts import Provider
from gateway.hookspecs import hookimpl
from gateway_emirex.adapter import PROVIDER

__all__ = ["PROVIDER", "gateway_register_providers"]


@hookimpl
def gateway_register_providers(register: Callable[[Provider], None]) -> None:
    register(PROVIDER)
