"""API keys: which kinds a provider has, its rules for them, and the calls that obtain, check and end them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from gateway.contracts.settings import Setting
from gateway.exchange import Operation
from gateway.models.keys import GuideStep, IssuedKey, KeyAction, KeyProof, Permission

__all__ = ["GuideRequest", "IssuesKeys", "KeyKind", "KeyPart", "KeyRules", "RevokesKeys", "VerifiesKeys"]


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One text of a key."""

    name: str
    """Its field in the credentials."""
    title: str
    """What the provider calls it."""
    public: bool = False
    """Whether it may be seen by others; the rest is kept in the vault."""


@dataclass(frozen=True, slots=True)
class KeyKind:
    """One kind of key. The main part, the first that is not public, is kept in the vault under the key's label; others
    under `label.part`.
    """

    name: str
    """The `kind` of its credentials."""
    credentials: type[Setting]
    """The same table that an account's `auth` can hold."""
    parts: tuple[KeyPart, ...]
    for_callbacks: bool = False
    """It signs nothing: it proves what the provider sends."""
    issues: bool = False
    """It obtains the key that is sent, by a call, and renews it."""

    @property
    def secret_parts(self) -> tuple[KeyPart, ...]:
        """The parts that the vault keeps, the main one first."""
        return tuple(part for part in self.parts if not part.public)

    @property
    def public_part(self) -> KeyPart | None:
        """The first part that may be seen; None where there is none."""
        return next((part for part in self.parts if part.public), None)


@dataclass(frozen=True, kw_only=True)
class GuideRequest:
    """What a person wants to do at the provider."""

    action: KeyAction
    kind: KeyKind
    label: str | None = None
    """The key's; None where none was named."""
    permissions: frozenset[Permission] = frozenset(Permission)
    """What the key is to do."""
    networks: tuple[str, ...] | None = None
    """None: from anywhere."""
    pool: str = "default"
    """The key's, as in ApiKey."""


def _any_label(label: str) -> str | None:
    return None


def _no_proof() -> Mapping[KeyAction, tuple[KeyProof, ...]]:
    return {}


@dataclass(frozen=True, kw_only=True)
class KeyRules:
    """A provider's rules for keys. A provider that has none of them has no ring."""

    kinds: tuple[KeyKind, ...]
    permissions: frozenset[Permission] | None = None
    """Those that a key can be restricted to; None: every key can do everything."""
    restricts_addresses: bool = False
    """Whether a key can be confined to networks."""
    label: Callable[[str], str | None] = _any_label
    """Says what is wrong with a label, None when nothing is."""
    label_rule: str = ""
    """The rule in words, for messages."""
    differ_by: str = ""
    """What makes keys not interchangeable, in words, so that they are kept in pools of their own."""
    proofs: Mapping[KeyAction, tuple[KeyProof, ...]] = field(default_factory=_no_proof)
    """What the provider asks for before each action."""
    guide: Callable[[GuideRequest], tuple[GuideStep, ...]]
    """Gives the provider's own steps; an action without steps is not known to exist."""
    source: str
    """Where the rules and steps come from."""
    grade: str
    """How far the source can be relied on, as in the table: D, P, C or I."""

    def kind(self, name: str) -> KeyKind | None:
        """The kind of this name; None where there is none."""
        return next((kind for kind in self.kinds if kind.name == name), None)


@runtime_checkable
class IssuesKeys(Protocol):
    def issue_key(self, credentials: Any = None) -> Operation[IssuedKey]:
        """Obtain a new key with these credentials, of a kind that `issues`; None: with the account's own."""
        ...


@runtime_checkable
class VerifiesKeys(Protocol):
    def verify_key(self) -> Operation[None]:
        """A cheap authenticated read; raises AuthenticationFailed or PermissionDenied when the key does not work, or
        another refusal (InvalidRequest) where the provider's way of saying so is not known.
        """
        ...


@runtime_checkable
class RevokesKeys(Protocol):
    def revoke_key(self, label: str, public_id: str | None) -> Operation[None]:
        """End the key at the provider, by a call."""
        ...
