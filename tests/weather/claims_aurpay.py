"""A plugin that registers a provider under a name that another plugin has."""

from __future__ import annotations

from typing import Any

from gateway.hookspecs import hookimpl
from support.toy import provider


@hookimpl
def gateway_register_providers(register: Any) -> None:
    register(provider("aurpay"))
