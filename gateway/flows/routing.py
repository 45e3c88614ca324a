"""Where an order may go: the accounts that the routes allow and that offer it, and whose money it becomes there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config import Route
from gateway.core import Candidate, Core
from gateway.errors import InvalidRequest
from gateway.models.base import Environment
from gateway.models.orders import OrderRequest, Settlement

__all__ = ["Ways", "variant_of", "ways"]


@dataclass(frozen=True, slots=True)
class Ways:
    """The accounts that may take an order, first choice first; of one environment and one settlement."""

    able: tuple[Candidate, ...]
    settles_to: Settlement
    refused: Mapping[str, str] = field(default_factory=dict)


def variant_of(request: OrderRequest) -> str:
    """Which variant of orders.create this request is."""
    coin = request.pay_with
    if coin is None:
        return "payer-choice"
    if coin.network is None:
        return "coin-without-network"
    return "lightning" if coin.network == "lightning" else "coin"


def ways(core: Core, request: OrderRequest, *, account: str | None, environment: Environment | None = None) -> Ways:
    """The accounts for this request and whose money the order becomes. The first one's settlement and environment are
    those of all. Nothing crosses over to a customer's wallet unless it was asked for.
    """

    def unfit(route: Route) -> str | None:
        if route.pay_with is not None and request.pay_with not in route.pay_with:
            return f"only for orders paid in {', '.join(coin.code for coin in route.pay_with)}"
        return route.excludes(request.price)

    found = core.candidates(
        "orders.create", variant_of(request), request, account=account, settles_to=request.settles_to, unfit=unfit
    )
    first = found.able[0].account
    wanted = request.settles_to
    if wanted is None:
        routed = account is None and any(route.operation == "orders.create" for route in core.settings.routes)
        wanted = first.settles_to if routed else Settlement.MERCHANT
    if first.settles_to is not wanted:
        raise InvalidRequest(
            f"an order at {first.name} becomes the {first.settles_to}'s money, not the {wanted}'s; nothing was sent",
            account=first.name,
            provider=first.provider.name,
            operation="orders.create",
            reference=request.reference,
            hint=f"if that is meant, say settles_to={first.settles_to.value!r} in the request or the route",
        )
    where = environment or first.environment
    able, refused = [], dict(found.refused)
    for candidate in found.able:
        name, here = candidate.account.name, candidate.account
        if here.settles_to is not wanted:
            refused[name] = f"it settles to the {here.settles_to}, and this order is the {wanted}'s"
        elif here.environment is not where:
            refused[name] = f"it is {here.environment}, and this order is {where}"
        else:
            able.append(candidate)
    if not able:
        core.same_environment(first, where, f"the order {request.reference}")
    return Ways(tuple(able), wanted, refused)
