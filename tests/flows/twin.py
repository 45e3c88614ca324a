"""One of several processes that make the same order, at `shop` or, with the argument `routed`, where the routes lead;
prints its number. Reads the settings from standard input.
"""

from __future__ import annotations

import json
import sys

from gateway import Gateway, Money, OrderRequest

if __name__ == "__main__":
    with Gateway(**json.load(sys.stdin)) as gateway:
        order = gateway.orders.create(
            OrderRequest(reference="cart-1001", price=Money("25.00", "USD"), pay_with="USDT@tron"),
            account=None if "routed" in sys.argv else "shop",
        )
        sys.stdout.write(f"{order.provider_id}\n")
