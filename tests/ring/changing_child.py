"""Changes a ring as a process of its own, and ends as `kill -9` does at the moment that it is told.

Input is one line of JSON; with `"waits"` it begins only when a second line comes. It says what became of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from gateway import Gateway
from gateway.accounts import OpenAccount
from gateway.errors import GatewayError
from gateway.keyring import RawKey, Vault
from gateway.secrets import Secret
from gateway.store import keys as stored
from ring.ringed import new, ring_account
from support.toy import toy_plugins


def die_after(owner: Any, name: str) -> None:
    """This process ends right after this function's work is done."""
    work: Callable[..., Any] = getattr(owner, name)

    def last(*given: Any, **more: Any) -> Any:
        work(*given, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, last)


POINTS = {
    "in the vault": (Vault, "put_many"),
    "in the row's transaction": (stored, "add"),
    "with the row committed": (OpenAccount, "know"),
    "in the change's transaction": (stored, "change"),
    "in the removal's transaction": (stored, "remove"),
}


def die_before_erasing() -> None:
    def instead(self: Vault, names: object, **more: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Vault.remove_many = instead  # type: ignore[method-assign]


DOES: dict[str, Callable[[Gateway, dict[str, Any]], object]] = {
    "add": lambda gw, given: gw.keys.add(new(given["label"], given["secret"]), account="shop", deadline=30),
    "rotate": lambda gw, given: gw.keys.rotate("key1", new(given["label"], given["secret"]), account="shop"),
    "revoke": lambda gw, given: gw.keys.revoke("key1", account="shop", ended=True, force=True),
    "delete all": lambda gw, given: gw.keys.delete_all(account="shop", confirm="shop"),
}


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    if given.get("dies") == "before the secret is erased":
        die_before_erasing()
    elif given.get("dies"):
        die_after(*POINTS[given["dies"]])
    with Gateway(
        accounts={"shop": ring_account(given["url"])},
        store=given["store"],
        vault={"at": given["vault"]},
        vault_key=RawKey(Secret(given["key"])),
        plugins=toy_plugins(),
    ) as gateway:
        gateway.keys.list()
        if given.get("waits"):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.readline()
        try:
            DOES[given["does"]](gateway, given)
            said = "done"
        except GatewayError as error:
            said = type(error).__name__
    sys.stdout.write(said + "\n")
