"""Works without a pause on the keys of a ring that is changed elsewhere, until something comes on standard input."""

from __future__ import annotations

import json
import select
import sys

from gateway import Gateway
from gateway.errors import GatewayError
from gateway.keyring import RawKey
from gateway.secrets import Secret
from ring.ringed import cart, ring_account
from support.toy import toy_plugins

if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    written, errors = 0, list[str]()
    with Gateway(
        accounts={"shop": ring_account(given["url"])},
        store=given["store"],
        vault={"at": given["vault"]},
        vault_key=RawKey(Secret(given["key"])),
        keys={"refresh": "1s"},
        plugins=toy_plugins(),
    ) as gateway:
        while not select.select([sys.stdin], [], [], 0.005)[0]:
            try:
                gateway.account("shop").request("GET", "/me")
                gateway.orders.create(cart(f"child-{written + 1}"), account="shop")
                written += 1
            except GatewayError as error:
                errors.append(str(error))
                break
    sys.stdout.write(json.dumps({"written": written, "errors": errors}) + "\n")
