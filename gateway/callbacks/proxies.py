"""The client's address behind proxies: each trusted one names who called it, and nobody else is believed.

It is recorded and decides nothing, least of all what is admitted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["client_address"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(peer: str | None, headers: Mapping[str, str], trusted: Sequence[_Network]) -> str | None:
    """Who called: `peer`, or whom the trusted proxies name, read from the last hop to the first. None where it is not
    known. The names of `headers` are in lower case.

    Where both headers are there and say different things, one of them was not written by the proxy, and the answer is
    the peer.
    """
    here = _address(peer or "")
    if here is None or not _is_trusted(here, trusted):
        return None if here is None else str(here)
    chains = [
        list(chain)
        for name, chain in (
            ("x-forwarded-for", _x_forwarded_for(headers.get("x-forwarded-for", ""))),
            ("forwarded", _forwarded(headers.get("forwarded", ""))),
        )
        if name in headers
    ]
    found = {_first_untrusted(here, chain, trusted) for chain in chains}
    return str(found.pop() if len(found) == 1 else here)


def _first_untrusted(here: _Address, chain: Sequence[str], trusted: Sequence[_Network]) -> _Address:
    for hop in reversed(chain):
        if not _is_trusted(here, trusted):
            break
        named = _address(hop)
        if named is None:  # `unknown`, or an obfuscated name (RFC 7239, 6.2 and 6.3): nobody to go on with
            break
        here = named
    return here


def _is_trusted(address: _Address, trusted: Sequence[_Network]) -> bool:
    return any(address in network for network in trusted)


def _x_forwarded_for(value: str) -> Iterator[str]:
    yield from value.split(",")


def _forwarded(value: str) -> Iterator[str]:
    """The `for` of every hop (RFC 7239, 4); empty where a hop names none, which ends the chain."""
    for element in value.split(","):
        pairs = dict(part.strip().partition("=")[::2] for part in element.split(";"))
        yield next((text for name, text in pairs.items() if name.lower() == "for"), "").strip('"')


def _address(text: str) -> _Address | None:
    """The IP address in `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:4711`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket for both kinds shows IPv4 clients so.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
