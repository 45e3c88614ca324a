"""The commands that hints and guides tell a person to type for a key, each written whole: what one leaves out, the key
could do, from anywhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable

from gateway.models.keys import Permission

__all__ = ["address_words", "keeping", "permission_options"]


def keeping(
    label: str,
    account: str,
    kind: str,
    permissions: Collection[Permission] | None,
    networks: Iterable[str] | None,
    pool: str,
) -> str:
    """What keeps a key that a person made. `permissions` None: the provider's keys cannot be restricted."""
    words = ["gateway", "keys", "add", label, "--account", account, "--kind", kind]
    words += permission_options(permissions or ())
    for network in networks or ():
        words += ["--ip", address_words(network)]
    words += ["--pool", pool] if pool != "default" else []
    return shlex.join(words)


def permission_options(permissions: Collection[str]) -> list[str]:
    """The options that ask for one key with all of these permissions."""
    return [word for one in Permission if one in permissions for word in ("--permission", one.value)]


def address_words(network: str) -> str:
    """A network of one address as that address."""
    return network.removesuffix("/128" if ":" in network else "/32")
