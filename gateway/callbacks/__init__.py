"""Callbacks over the web: plain ASGI and WSGI applications, to be mounted in whatever application a shop has.

    app.mount("/payments", gateway.callbacks.asgi(gw))     # public_base_url = "https://shop.example/payments"

Both admit, record and answer; the order is read outside of the request, by a worker or `gw.callbacks.process()`.
Where neither fits, `gw.callbacks.receive(...)` takes method, URL, headers and body, and returns the status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.aio import AsyncGateway
    from gateway.api import Gateway
    from gateway.callbacks.asgi_app import AsgiCallbacks
    from gateway.callbacks.wsgi_app import WsgiCallbacks

__all__ = ["asgi", "wsgi"]


def asgi(gateway: Gateway | AsyncGateway) -> AsgiCallbacks:
    """An ASGI application that takes this gateway's callbacks. An `AsyncGateway` is used in the event loop that it
    belongs to, a `Gateway` in threads.

    Raises ConfigurationError when the gateway has no `public_base_url` or no `callback_key`.
    """
    from gateway.callbacks.asgi_app import AsgiCallbacks

    return AsgiCallbacks(gateway)


def wsgi(gateway: Gateway) -> WsgiCallbacks:
    """A WSGI application that takes this gateway's callbacks; safe for threads. Raises as `asgi`."""
    from gateway.callbacks.wsgi_app import WsgiCallbacks

    return WsgiCallbacks(gateway)
