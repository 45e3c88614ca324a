"""Aurex's keys: made and revoked in the dashboard only, each with its own rate limit and reseller markup (D, P).

One key has full power over the account: it has no scopes and no IP list. No call makes or ends one.
"""

from __future__ import annotations

from gateway.contracts import GuideRequest, KeyKind, KeyPart, KeyRules
from gateway.models import GuideStep, KeyAction, KeyProof
from gateway_aurex.settings import BearerKey

__all__ = ["RULES"]

_PAGE = "the dashboard"
# The vendor's own words for rotation: a new key, the switch, and only then the end of the old one (D).
_ORDER = "make a new key, switch over to it, and only then revoke the old one"

# Kinds

_BEARER = KeyKind("bearer", BearerKey, (KeyPart("api_key", "API key"),))

# Proofs: what the dashboard asks for is not documented.

_PROOFS = dict.fromkeys((KeyAction.CREATE, KeyAction.REVOKE), (KeyProof.PERSON,))

# Guides


def _guide(request: GuideRequest) -> tuple[GuideStep, ...]:
    match request.action:
        case KeyAction.CREATE:
            return _create(request)
        case KeyAction.REVOKE:
            return _revoke(request)
        case KeyAction.EDIT | KeyAction.DELETE | KeyAction.DELETE_ALL:
            return ()


def _create(request: GuideRequest) -> tuple[GuideStep, ...]:
    return (
        GuideStep(page=_PAGE, text="Make a new API key. It can do everything, from everywhere."),
        GuideStep(
            page=_PAGE,
            text=f"Set the key's reseller markup, in percent, to that of the pool {request.pool}: keys with different "
            "markups do not stand in for each other.",
            enter={"markup": f"that of the pool {request.pool}"},
        ),
        GuideStep(page=_PAGE, text="Copy the API key.", shows=("api_key",)),
        GuideStep(page=_PAGE, text=f"When the key's time is over: {_ORDER}.", later=True),
    )


def _revoke(request: GuideRequest) -> tuple[GuideStep, ...]:
    key = "the key" if request.label is None else f"the key that the gateway calls {request.label}"
    return (
        GuideStep(text=f"See that nothing works with the key any more. The vendor's order: {_ORDER}."),
        GuideStep(page=_PAGE, text=f"Revoke {key}: a revoked key loses access at once."),
    )


RULES = KeyRules(
    kinds=(_BEARER,),
    differ_by="the reseller markup, in percent, which is set for each key in the dashboard",
    proofs=_PROOFS,
    guide=_guide,
    source="docs.aurex.cash/cards-and-usage/api/auth; the vendor's skill aurexcards/aurex-skill for the markup",
    grade="P",
)
