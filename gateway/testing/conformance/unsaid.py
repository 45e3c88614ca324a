"""What a subject leaves out: nothing of it can be examined, so it is told instead of counted as proved."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway.config import account_settings
from gateway.contracts import NoAuth
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from gateway.secrets import Secret
from gateway.testing.conformance.bench import ACCOUNT, adapter_of, plugins_of, settings_of, supported
from gateway.testing.conformance.subject import Subject

__all__ = ["TOPICS", "Unsaid", "never_public", "unsaid_by", "untried_by"]

TOPICS = ("words", "failures", "signatures", "callbacks", "ends", "refused_auth")
"""What a subject may give a reason for in `nothing_documented`. They are the names of its fields."""
_OF_FLAVOURS = ("signatures", "callbacks", "refused_auth", "public", "nothing_documented")
_STATUS_READ = ("orders.get", "withdrawals.get", "trades.get", "cards.list")
_NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Unsaid:
    """`topic` is the field of the subject, `words` what is not exercised. Without a `reason` it is not accepted."""

    topic: str
    words: str
    reason: str = ""

    def to_dict(self) -> dict[str, str]:
        return {"topic": self.topic, "words": self.words, "reason": self.reason}


def unsaid_by(subject: Subject, *, flavour: bool = False) -> list[Unsaid]:
    """What this subject says nothing of, though its account offers it. Of a flavour of an account only that counts
    which differs between flavours.
    """
    found = [
        Unsaid(topic, f"not exercised: the subject says nothing of {words}", _reason(subject, topic))
        for topic, words in _absent(subject)
    ]
    found += [Unsaid("public", words) for words in _published(subject)]
    found += [Unsaid("nothing_documented", words) for words in _misnamed(subject)]
    return [one for one in found if not flavour or one.topic in _OF_FLAVOURS]


def untried_by(subject: Subject) -> list[str]:
    """Errors that the tables of the adapter's package know and that no documented failure of the subject answers with:
    what is made of them is not compared. What HTTP itself says of a status is no such entry.
    """
    answered = {text for failure in subject.failures for text in (failure.code, str(failure.status))}
    package = subject.provider.adapter.__module__.rpartition(".")[0] or subject.provider.adapter.__module__
    found: dict[str, str] = {}
    for name, module in sorted(sys.modules.items()):
        if name != subject.provider.adapter.__module__ and (name != package and not name.startswith(f"{package}.")):
            continue
        for table, entries in vars(module).items():
            if isinstance(entries, Mapping) and entries and all(map(_is_error, entries.values())):
                for code, kind in entries.items():
                    if str(code) not in answered and _BY_STATUS.get(code) is not kind:
                        found.setdefault(f"{code}", f"{table} of {name}: {code!r} means {kind.__name__}")
    return [f"not tried: {words}, and no documented failure is answered with it" for words in found.values()]


_BY_STATUS: Mapping[Any, type[GatewayError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: RateLimited,
}


def _is_error(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, GatewayError)


def never_public(subject: Subject, settings: Mapping[str, Any]) -> frozenset[str]:
    """Texts of an account's tables that are secret whatever the subject says: those that its settings keep as Secret
    and the secret parts of the provider's keys. What the provider's keys call public may be seen.
    """
    checked = account_settings(ACCOUNT, settings, plugins_of(subject.provider))
    secret = set(_kept_secret(checked))
    public: set[str] = set()
    for kind in subject.provider.keys.kinds if subject.provider.keys is not None else ():
        table = "callback" if kind.for_callbacks else "auth"
        if table == "callback" or settings.get(table, {}).get("kind") in (kind.name, None):
            for part in kind.parts:
                (public if part.public else secret).add(f"{table}.{part.name}")
    return frozenset(secret - public)


def _kept_secret(value: Any, path: str = "") -> Iterator[str]:
    """Where the checked settings hold a Secret."""
    if isinstance(value, Secret):
        yield path
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _kept_secret(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _kept_secret(item, path)


def _absent(subject: Subject) -> Iterator[tuple[str, str]]:
    operations = {row.operation for row in supported(subject)}
    for operation in _STATUS_READ:
        said = [words for words in subject.words if words.operation == operation]
        if operation in operations and not any(words.words for words in said):
            yield "words", f"the words for a status that {operation} reads: what they mean is not compared"
    if not any(failure.operation in operations for failure in subject.failures):
        yield "failures", "failures: no error that the provider documents is answered"
    settings = settings_of(subject, _NOBODY)
    if not isinstance(adapter_of(subject, settings).auth, NoAuth):
        if not any(vector.headers or vector.body is not None for vector in subject.signatures):
            yield "signatures", "the check values of a signature: whether requests are signed rightly is not compared"
        if subject.refused_auth is None:
            yield "refused_auth", "a key that is not accepted: what the adapter makes of one is not tried"
    if "callbacks.receive" in operations and not subject.callbacks:
        yield "callbacks", "callbacks as they are documented: only those that the sandbox makes are read"
    if {"orders.create", "orders.get"} <= operations and "exact" not in subject.ends:
        yield "ends", "how an order that is paid exactly ends: its status is not compared"


def _reason(subject: Subject, topic: str) -> str:
    return str(subject.nothing_documented.get(topic, "")).strip()


def _published(subject: Subject) -> Iterator[str]:
    for path in sorted(subject.public & never_public(subject, settings_of(subject, _NOBODY))):
        yield f"`public` of the subject names {path}, which is a secret part of the account's credentials"


def _misnamed(subject: Subject) -> Iterator[str]:
    for topic, reason in subject.nothing_documented.items():
        if topic not in TOPICS:
            yield f"`nothing_documented` of the subject names {topic!r}; it can name {', '.join(TOPICS)}"
        elif not str(reason).strip():
            yield f"`nothing_documented` of the subject gives no reason for {topic!r}"
