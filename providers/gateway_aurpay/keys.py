"""Aurpay's keys: an API key, given or obtained by a login, or a signature pair; and the secrets that prove callbacks.

None of them has scopes or an IP list that is known. One call makes a key, with user name and password (D); how a key
is changed or ended is not documented, neither by a call nor in the dashboard.
"""

from __future__ import annotations

from gateway.contracts import GuideRequest, KeyKind, KeyPart, KeyRules
from gateway.models import GuideStep, KeyAction, KeyProof
from gateway_aurpay.settings import ApiKeyAuth, CallbackSecrets, LoginCredentials, SignatureAuth

__all__ = ["RULES"]

_PAGE = "the dashboard"
_CALLBACK_PAGE = "the dashboard's callback page"
_BEFORE = "whether the one before stays valid is not documented"

# Kinds. The first secret part of each is the one that is kept under the key's label.

_API_KEY = KeyKind("api-key", ApiKeyAuth, (KeyPart("api_key", "API key (the plugin public key)"),))
_SIGNATURE = KeyKind(
    "signature", SignatureAuth, (KeyPart("api_secret", "API secret"), KeyPart("api_token", "API token"))
)
_LOGIN = KeyKind(
    "login",
    LoginCredentials,
    (KeyPart("username", "user name", public=True), KeyPart("password", "password")),
    issues=True,
)
_CALLBACK = KeyKind(
    "callback",
    CallbackSecrets,
    (KeyPart("secret", "callback secret"), KeyPart("token", "callback token")),
    for_callbacks=True,
)

# Proofs: what the dashboard asks for is not documented. The call that issues a key takes the password.

_PROOFS = {KeyAction.CREATE: (KeyProof.PERSON,)}

# Guides


def _guide(request: GuideRequest) -> tuple[GuideStep, ...]:
    match request.action:
        case KeyAction.CREATE:
            return _create(request.kind)
        case KeyAction.EDIT | KeyAction.REVOKE | KeyAction.DELETE | KeyAction.DELETE_ALL:
            return ()


def _create(kind: KeyKind) -> tuple[GuideStep, ...]:
    match kind.name:
        case "api-key":
            text = f"Copy the plugin public key: it is the API key, which the vendor recommends for testing; {_BEFORE}."
            return (GuideStep(page=_PAGE, text=text, shows=("api_key",)),)
        case "signature":
            text = f"Copy the API secret and the API token, which the vendor recommends for production; {_BEFORE}."
            return (GuideStep(page=_PAGE, text=text, shows=("api_secret", "api_token")),)
        case "login":
            text = "Nothing is made by hand: with the user name and password of the dashboard, a call issues the key."
            return (GuideStep(text=text, asks=(KeyProof.PASSWORD,)),)
        case "callback":
            return (
                GuideStep(
                    page=_CALLBACK_PAGE,
                    text="Copy the callback secret and the callback token.",
                    shows=("secret", "token"),
                ),
                GuideStep(
                    text="Callbacks from before a change may still carry the former secrets: they are admitted while "
                    "both are in the ring.",
                    later=True,
                ),
            )
        case _:
            return ()


RULES = KeyRules(
    kinds=(_API_KEY, _SIGNATURE, _LOGIN, _CALLBACK),
    proofs=_PROOFS,
    guide=_guide,
    source="api-docs.aurpay.net: authentication, get API key, callbacks",
    grade="D",
)
