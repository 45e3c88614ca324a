"""What comes in, without any framework: method, path, headers, raw body and client address in; a status out.

Whatever is not admitted gets the same answer, 404 and no body: a path, method, account or token that is not known here,
and a body that is too large. Only the token admits, and it is checked before the body is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.callbacks.proxies import client_address
from gateway.callbacks.tokens import Place, is_genuine, place_of
from gateway.contracts import IncomingCallback
from gateway.core import Telling
from gateway.errors import ConfigurationError
from gateway.flows.admitting import NOT_ADMITTED, admit

if TYPE_CHECKING:
    from gateway.accounts import OpenAccount
    from gateway.core import Core
    from gateway.engine.effects import Flow

__all__ = ["NOT_ADMITTED", "Admitted", "Intake"]

_METHODS = frozenset({"GET", "HEAD", "POST"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request whose token is genuine; its body was not read yet."""

    account: OpenAccount
    place: Place
    method: str


class Intake:
    """Where one gateway's callbacks come in. Raises ConfigurationError when it is not configured for any."""

    def __init__(self, core: Core) -> None:
        settings = core.settings
        if settings.public_base_url is None or not settings.callback_key:
            missing = "public_base_url" if settings.public_base_url is None else "callback_key"
            raise ConfigurationError(
                f"{missing}: is missing, so no provider can call back",
                hint="callbacks need public_base_url, the address that providers call, and callback_key",
            )
        self._core = core
        self._base_url = settings.public_base_url
        self.body_limit = settings.callback_body_limit
        """Bytes; a body that has more is not admitted."""
        self.body_seconds = settings.callback_timeout
        """How long the body may take to come."""

    def admitted(self, method: str, path: str, mounted_at: str = "") -> Admitted | None:
        """The request, if it may come in. `path` is decoded; `mounted_at` is the prefix that the application was
        called under.
        """
        found = self._admitted(method, path, mounted_at)
        if found is None:
            Telling(self._core, "callback", "callbacks.receive", "").ended("rejected")
        return found

    def _admitted(self, method: str, path: str, mounted_at: str) -> Admitted | None:
        place = place_of(path, self._base_url, mounted_at)
        if place is None or method not in _METHODS:
            return None
        # Whether the account is known is seen only by those who have a token for it.
        if not is_genuine(place, self._core.settings.callback_key):
            return None
        account = self._core.accounts.get(place.account)
        return Admitted(account, place, method) if account is not None and account.receives_callbacks else None

    def take(
        self,
        admitted: Admitted,
        *,
        query: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]],
        body: bytes,
        peer: str | None,
    ) -> Flow[int]:
        """Put it into the inbox; the status to answer with. `query` has no question mark; `peer` is who is connected.

        The body may have at most `body_limit` bytes: whoever reads it stops there.
        """
        place, lower = admitted.place, _lower(headers)
        callback = IncomingCallback(
            method=admitted.method,
            # As it was registered: behind a proxy another one may have been called, and the provider signs this one.
            url=f"{self._base_url}/{place.account}/{place.attempt}.{place.mac}" + (f"?{query}" if query else ""),
            headers=lower,
            body=body,
            received_at=self._core.now(),
        )
        client = client_address(peer, lower, self._core.settings.trusted_proxies)
        return admit(self._core, admitted.account, place, callback, client)


def _lower(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """By name in lower case; what came several times is one list (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        name = name.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
