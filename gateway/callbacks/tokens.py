"""The address that every attempt is called back at, and the token in it.

    {public_base_url}/{account}/{attempt}.{mac}

`mac` is the first half of an HMAC-SHA256 over account and attempt, in hex. Whoever has not been given the address
cannot make one, so a callback is admitted by it alone; nothing has to be looked up for that.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.secrets import Secret

__all__ = ["Place", "attempt_url", "is_genuine", "place_of"]

_BITS = 128
# Neither part can hold what separates them, here and in the text that is signed.
_PATH = re.compile(
    rf"/(?P<account>[A-Za-z0-9_-]{{1,64}})/(?P<attempt>[A-Za-z0-9_-]{{1,64}})\.(?P<mac>[0-9a-f]{{{_BITS // 4}}})",
    re.ASCII,
)


class Place(NamedTuple):
    """What a path names. Nothing of it is known to be genuine before `is_genuine` says so."""

    account: str
    attempt: str
    mac: str


def attempt_url(base_url: str, key: Secret, account: str, attempt: str) -> str:
    """The address to give to the provider for this attempt. `base_url` has no slash at its end."""
    return f"{base_url}/{account}/{attempt}.{_mac(key, account, attempt)}"


def place_of(path: str, base_url: str, mounted_at: str = "") -> Place | None:
    """What this path names, as it was called or without the prefix that it was called under: the one that the
    application is mounted at, or that of the registered address.
    """
    for prefix in ("", mounted_at, urlsplit(base_url).path):
        if path.startswith(prefix) and (found := _PATH.fullmatch(path.removeprefix(prefix))):
            return Place(**found.groupdict())
    return None


def is_genuine(place: Place, keys: Sequence[Secret]) -> bool:
    """Whether one of the keys made this token. All are compared, in constant time."""
    given = place.mac.encode()
    matches = [hmac.compare_digest(_mac(key, place.account, place.attempt).encode(), given) for key in keys]
    return any(matches)


def _mac(key: Secret, account: str, attempt: str) -> str:
    text = f"gateway callback v1|{account}|{attempt}"
    # Not `hmac.digest`: that lets go of the interpreter for every call, and under load waits to get it back.
    return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()[: _BITS // 4]
