"""The tests' wall: nothing but loopback and Unix sockets can be reached, from the tests or their Python children.

A blocked attempt raises `NetworkBlocked`, and is remembered, so that a test fails also where the code under test
swallows the error. Names that end in `.invalid` get the answer of a resolver (RFC 6761: they never exist), without
asking one.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

attempts: list[str] = []


class NetworkBlocked(RuntimeError):
    """The code under test tried to leave this machine."""


def is_local(host: object) -> bool:
    """Whether the host of an address is this machine; None and '' stand for it when a name is resolved."""
    if host is None:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if text in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def install() -> None:
    """Put the wall up for the rest of this process; a second call changes nothing."""
    if getattr(socket, "_loopback_only", False):
        return
    for name in ("connect", "connect_ex", "sendto", "sendmsg"):
        setattr(socket.socket, name, _guarded_method(getattr(socket.socket, name)))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, _guarded_lookup(getattr(socket, name)))
    socket._loopback_only = True  # type: ignore[attr-defined]


def _guarded_method(original: Any) -> Any:
    def guarded(self: socket.socket, *args: Any) -> Any:
        # The address is the last argument of connect, connect_ex and sendto, and the fourth, optional one of sendmsg.
        address = (args[3] if len(args) > 3 else None) if original.__name__ == "sendmsg" else args[-1] if args else None
        if self.family in {socket.AF_INET, socket.AF_INET6} and isinstance(address, tuple) and not is_local(address[0]):
            raise _blocked(f"{original.__name__} to {address[0]} port {address[1]}")
        return original(self, *args)

    return guarded


def _guarded_lookup(original: Any) -> Any:
    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_local(host):
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
            if name.rstrip(".").endswith(".invalid"):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            raise _blocked(f"looking up {name}")
        return original(host, *args, **kwargs)

    return guarded


def _blocked(what: str) -> NetworkBlocked:
    attempts.append(what)
    return NetworkBlocked(f"{what}: tests reach nothing but loopback; serve it from 127.0.0.1 or replay a cassette")
