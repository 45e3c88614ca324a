"""The adapter of Aurpay, a plugin of crypto-gateway.

Written from the vendor's API documentation (api-docs.aurpay.net) and product guide (docs.aurpay.net), the WordPress
plugins that it publishes, and independent public clients; nothing here was tried against the live service. What each
call rests on stands in `capabilities`. Guesses are graded I, and off until an account allows them.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.contracts import Provider
from gateway.hookspecs import hookimpl
from gateway.models import Settlement
from gateway_aurpay.adapter import Aurpay
from gateway_aurpay.capabilities import CAPABILITIES
from gateway_aurpay.keys import RULES
from gateway_aurpay.settings import AurpaySettings

__all__ = ["AURPAY", "gateway_register_providers"]

AURPAY = Provider(
    name="aurpay",
    contract=1,
    title="Aurpay",
    settings=AurpaySettings,
    adapter=Aurpay,
    capabilities=CAPABILITIES,
    settles_to=Settlement.MERCHANT,
    keys=RULES,
    sandbox="gateway_aurpay.sandbox:AurpaySandbox",
    documentation="https://api-docs.aurpay.net",
)


@hookimpl
def gateway_register_providers(register: Callable[[Provider], None]) -> None:
    register(AURPAY)
