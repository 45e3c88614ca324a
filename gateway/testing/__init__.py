"""What a merchant's own tests use: sandboxes, fixtures, and the kit that an adapter must pass.

A sandbox is a stand-in for a provider: it keeps orders and balances, checks keys and signatures as the provider's
documentation says, and can be told to pay, to expire and to go wrong. `SandboxServer` serves sandboxes on loopback; the
fixtures `gateway_sandbox`, `gateway_sandbox_settings` and `sandbox_gateway` do it for a test. Needs the extra
`sandbox`.

The kit is `gateway.testing.conformance`: `Subject` says what an adapter is examined with, `Conformance` examines it.

Everything here is imported only when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.testing import faults
    from gateway.testing.conformance.calls import Call
    from gateway.testing.conformance.runner import examine
    from gateway.testing.conformance.subject import (
        CallbackSample,
        DocumentedFailure,
        SignatureVector,
        StatusWords,
        Subject,
    )
    from gateway.testing.conformance.suites import Conformance
    from gateway.testing.delivery import CallbackDelivery, Delivery
    from gateway.testing.installed import installed_sandboxes, sandbox_of
    from gateway.testing.paste import accounts_toml
    from gateway.testing.request_log import RequestRecord
    from gateway.testing.sandbox import (
        NotInSandbox,
        OutgoingCallback,
        Payment,
        Sandbox,
        SandboxClock,
        SandboxError,
        SandboxOrder,
    )
    from gateway.testing.server import SandboxServer

__all__ = [
    "Call",
    "CallbackDelivery",
    "CallbackSample",
    "Conformance",
    "Delivery",
    "DocumentedFailure",
    "NotInSandbox",
    "OutgoingCallback",
    "Payment",
    "RequestRecord",
    "Sandbox",
    "SandboxClock",
    "SandboxError",
    "SandboxOrder",
    "SandboxServer",
    "SignatureVector",
    "StatusWords",
    "Subject",
    "accounts_toml",
    "examine",
    "faults",
    "installed_sandboxes",
    "sandbox_of",
]

_HOMES = {
    "Call": "conformance.calls",
    "CallbackDelivery": "delivery",
    "CallbackSample": "conformance.subject",
    "Conformance": "conformance.suites",
    "Delivery": "delivery",
    "DocumentedFailure": "conformance.subject",
    "NotInSandbox": "sandbox",
    "OutgoingCallback": "sandbox",
    "Payment": "sandbox",
    "RequestRecord": "request_log",
    "Sandbox": "sandbox",
    "SandboxClock": "sandbox",
    "SandboxError": "sandbox",
    "SandboxOrder": "sandbox",
    "SandboxServer": "server",
    "SignatureVector": "conformance.subject",
    "StatusWords": "conformance.subject",
    "Subject": "conformance.subject",
    "accounts_toml": "paste",
    "examine": "conformance.runner",
    "installed_sandboxes": "installed",
    "sandbox_of": "installed",
}


def __getattr__(name: str) -> Any:
    if name == "faults":
        return import_module("gateway.testing.faults")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
