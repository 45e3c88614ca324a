"""Emirex's keys: labelled, with permissions and trusted addresses, and managed by a person in the web interface (D).

No call makes, changes or ends one. The numbers of the steps are those of the help article.
"""

from __future__ import annotations

import ipaddress

from gateway.contracts import GuideRequest, KeyKind, KeyPart, KeyRules
from gateway.models import GuideStep, KeyAction, KeyProof, Permission
from gateway_emirex.settings import SignedKeys

__all__ = ["RULES"]

_PAGE = "Profile -> API Management"
_MONEY = (Permission.TRADE, Permission.WITHDRAW)
_CODES = "enter the code from the e-mail and, if Google 2FA is on, its code as well"

# Kinds

_SIGNED = KeyKind(
    "signed", SignedKeys, (KeyPart("public_key", "public key", public=True), KeyPart("secret", "private secret key"))
)

# Labels

_LABEL_RULE = "at least one upper-case letter, one lower-case letter and one digit"


def _label(label: str) -> str | None:
    missing = [
        what
        for what, first, last in (("upper-case letter", "A", "Z"), ("lower-case letter", "a", "z"), ("digit", "0", "9"))
        if not any(first <= character <= last for character in label)
    ]
    return f"has no {' and no '.join(missing)}; Emirex asks for {_LABEL_RULE}" if missing else None


# Proofs: the one-time code is asked for where Google 2FA is on.

_ASKED = (KeyProof.EMAIL_CODE, KeyProof.ONE_TIME_CODE)
_PROOFS = dict.fromkeys(KeyAction, (*_ASKED, KeyProof.PERSON))

# Guides


def _guide(request: GuideRequest) -> tuple[GuideStep, ...]:
    match request.action:
        case KeyAction.CREATE:
            done = "Done: the gateway reads with the new key, and uses it once that has succeeded."
            ends = (_delete(request, later=True), _delete_all(later=True))
            return (*_create(request), *_edit(request), *ends, _done(done))
        case KeyAction.EDIT:
            return (*_edit(request), _done("Done: read with the key to see that it still works from here."))
        case KeyAction.REVOKE | KeyAction.DELETE:
            return (_delete(request), _done("Done: see that the list no longer shows the key."))
        case KeyAction.DELETE_ALL:
            return (_delete_all(), _done("Done: see that the list of keys is empty."))


def _create(request: GuideRequest) -> tuple[GuideStep, ...]:
    return (
        GuideStep(covers=(1,), text="Switch two-factor authentication on, if it is off: keys need it."),
        GuideStep(
            covers=(2,),
            page=_PAGE,
            text=f"Under private API key, enter a label: {_LABEL_RULE}.",
            enter={} if request.label is None else {"label": request.label},
        ),
        GuideStep(covers=(3,), page=_PAGE, text='Press "Send code": a secret code comes by e-mail.'),
        GuideStep(covers=(4,), page=_PAGE, text=f'{_CODES[0].upper()}{_CODES[1:]}; then press "Add".', asks=_ASKED),
        GuideStep(
            covers=(5,),
            page=_PAGE,
            text="The private secret key is shown, this one time only: give it to the gateway before you go on.",
            shows=("secret",),
        ),
        GuideStep(
            covers=(6,),
            page=_PAGE,
            text="The list of keys now shows the new one: its public key, what it may do, and from which addresses.",
            shows=("public_key",),
        ),
    )


def _edit(request: GuideRequest) -> tuple[GuideStep, ...]:
    boxes = tuple(permission.value for permission in Permission if permission in request.permissions)
    others = tuple(permission.value for permission in _MONEY if permission not in request.permissions)
    ticked = f"see that {_listed(boxes)} ticked" + (f", and {_listed(others)} not" if others else "")
    if Permission.READ not in request.permissions:
        ticked += "; leave read as it is, because the gateway checks a key by reading"
    if request.networks is None:
        access = 'leave IP access at "all addresses", which the vendor does not recommend'
        enter = {"IP access": "all addresses"}
    else:
        access = 'restrict IP access to "trusted IPs only", which the vendor recommends, and enter them'
        if not all(map(_is_one, request.networks)):
            access += "; whether the page takes whole networks is not documented"
        enter = {"IP access": "trusted IPs only", "trusted IPs": ", ".join(map(_written, request.networks))}
    return (
        GuideStep(
            covers=(7, 8),
            page=_PAGE,
            text=f'{_at(request)}, press "Edit permissions"; {ticked}; {access}.',
            tick=boxes,
            enter=enter,
        ),
        GuideStep(
            covers=(9, 10), page=_PAGE, text=f'Press "Send code"; {_CODES}; the key is then updated.', asks=_ASKED
        ),
    )


def _delete(request: GuideRequest, *, later: bool = False) -> GuideStep:
    text = f'{_at(request)}, press "Delete"; {_CODES}.'
    return GuideStep(covers=(11, 12), page=_PAGE, text=_when_over(text) if later else text, asks=_ASKED, later=later)


def _delete_all(*, later: bool = False) -> GuideStep:
    text = (
        f'Press "Delete All API Key"; {_CODES}. This ends every key of the account, those that the gateway does not '
        "know too."
    )
    if later:
        text = f"To end all keys at once: {text[0].lower()}{text[1:]}"
    return GuideStep(covers=(13,), page=_PAGE, text=text, asks=_ASKED, later=later)


def _done(text: str) -> GuideStep:
    return GuideStep(covers=(14,), text=text)


def _at(request: GuideRequest) -> str:
    return "At the key" if request.label is None else f"At the key {request.label}"


def _when_over(text: str) -> str:
    return f"When the key's time is over: {text[0].lower()}{text[1:]}"


def _listed(boxes: tuple[str, ...]) -> str:
    if len(boxes) < 2:
        return f"{boxes[0] if boxes else 'nothing'} is"
    return f"{', '.join(boxes[:-1])} and {boxes[-1]} are"


def _is_one(network: str) -> bool:
    return ipaddress.ip_network(network).num_addresses == 1


def _written(network: str) -> str:
    """A network of one address as that address."""
    return str(ipaddress.ip_network(network).network_address) if _is_one(network) else network


RULES = KeyRules(
    kinds=(_SIGNED,),
    permissions=frozenset(Permission),
    restricts_addresses=True,
    label=_label,
    label_rule=_LABEL_RULE,
    proofs=_PROOFS,
    guide=_guide,
    source='the vendor\'s help article "How does Emirex API work?"',
    grade="D",
)
