"""How a broken adapter is written down: a class, a sentence that says what is wrong, and what the kit must say."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from conformance.acme import AcmeAdapter, AcmeSettings, SignedAuth, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme, broken

__all__ = ["AREAS", "Broken", "all_broken", "fails"]

T = TypeVar("T", bound=type)

AREAS = {
    "signing": "Keys and signatures",
    "amounts": "Money",
    "units": "Money in smallest units",
    "failures": "Errors, and answers that are none",
    "doubts": "What leaves it open",
    "destinations": "Where money goes, and what is shown",
    "writes": "Writes",
    "refunds": "Refunds",
    "denominations": "Currencies and networks",
    "unasked": "What nobody asked for",
    "nested": "Data within a text",
    "marks": "What a provider recognises a repetition by",
    "statuses": "Words of the provider",
    "callbacks": "Callbacks",
    "proofs": "The proof of a callback",
    "lists": "Lists and zones of time",
    "exceptions": "What is unusual about an order",
    "rows": "Rows, balances and their coins",
    "times": "Times",
    "mixing": "One order, call and account for another",
    "redaction": "Secrets",
    "cards": "Cards",
    "logins": "Logins",
    "table": "The capability table",
    "rates": "The limit of calls",
    "settings": "Settings",
    "purity": "What an adapter may not do",
    "samples": "Several samples",
    "sandboxes": "The sandbox and the samples",
}
"""The modules of this folder that hold broken adapters, and what they are about."""


@dataclass(frozen=True)
class Broken:
    """`check` is the check that must find it, `words` what its message must hold, `area` of what it is a fault.
    `within` is the area of the table to which the run of the check is kept, for time.
    """

    name: str
    area: str
    wrong: str
    check: str
    words: str
    subject: type[Acme]
    within: str | None = None


_known: dict[str, Broken] = {}


def fails(check: str, words: str, *, within: str | None = None, **changed: Any) -> Callable[[T], T]:
    """Write a broken adapter down, or a part of one: its auth, its settings, its sandbox, or the whole subject. The
    first paragraph of its docstring says what is wrong; `changed` is what else differs in the subject.
    """

    def note(kind: T) -> T:
        assert kind.__doc__ is not None
        assert kind.__name__ not in _known
        wrong = " ".join(inspect.cleandoc(kind.__doc__).split("\n\n")[0].split())
        area = kind.__module__.rpartition(".")[2]
        _known[kind.__name__] = Broken(kind.__name__, area, wrong, check, words, _subject(kind, changed), within)
        return kind

    return note


def all_broken() -> list[Broken]:
    for area in AREAS:
        importlib.import_module(f"conformance.broken.{area}")
    return list(_known.values())


def _subject(kind: Any, changed: dict[str, Any]) -> type[Acme]:
    if issubclass(kind, Acme):
        return type(kind.__name__, (kind,), changed)
    if issubclass(kind, AcmeAdapter):
        return broken(provider(adapter=kind), **changed)
    if issubclass(kind, SignedAuth):
        adapter = type(kind.__name__, (AcmeAdapter,), {"make_auth": lambda self, keys=None: kind(keys)})
        return broken(provider(adapter=adapter), **changed)
    if issubclass(kind, AcmeSettings):
        return broken(provider(settings=kind), **changed)
    assert issubclass(kind, AcmeSandbox)
    return broken(provider(), sandbox=lambda self: kind(), **changed)
