"""The adapter of Aurex, a plugin of crypto-gateway.

Written from the vendor's documentation, docs.aurex.cash (`/cards-and-usage/api/` with `overview`, `auth`, `users` and
`cards`; `/cards-and-usage/swap`; `/support/faq`), graded D, and its published skill `aurexcards/aurex-skill`, graded P.
Nothing here was run against the live service.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.contracts import Provider
from gateway.hookspecs import hookimpl
from gateway_aurex.adapter import PROVIDER

__all__ = ["PROVIDER", "gateway_register_providers"]


@hookimpl
def gateway_register_providers(register: Callable[[Provider], None]) -> None:
    register(PROVIDER)
