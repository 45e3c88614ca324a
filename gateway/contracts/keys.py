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
    """One text of a key: `name` is its field in the credentials, `title` what the provider calls it. A `public` one may
    be seen by others; the rest is kept in the vault.
    """

    name: str
    title: str
    public: bool = False


@dataclass(frozen=True, slots=True)
class KeyKind:
    """One kind of key: `name` is the `kind` of its credentials, the same table that an account's `auth` can hold.

    The main part, the first that is not public, is kept in the vault under the key's label; others under
    `label.part`. One that is `for_callbacks` signs nothing: it proves what the provider sends. One that `issues`
    obtains the key that is sent, by a call, and renews it.
    """

    name: str
    credentials: type[Setting]
    parts: tuple[KeyPart, ...]
    for_callbacks: bool = False
    issues: bool = False

    @property
    def secret_parts(self) -> tuple[KeyPart, ...]:
        return tuple(part for part in self.parts if not part.public)

    @property
    def public_part(self) -> KeyPart | None:
        return next((part for part in self.parts if part.public), None)


@dataclass(frozen=True, kw_only=True)
class GuideRequest:
    """What a person wants to do at the provider. `networks` None: from anywhere."""

    action: KeyAction
    kind: KeyKind
    label: str | None = None
    permissions: frozenset[Permission] = frozenset(Permission)
    networks: tuple[str, ...] | None = None
    pool: str = "default"


def _any_label(label: str) -> str | None:
    return None


def _no_proof() -> Mapping[KeyAction, tuple[KeyProof, ...]]:
    return {}


@dataclass(frozen=True, kw_only=True)
class KeyRules:
    """A provider's rules for keys. A provider that has none of them has no ring.

    `permissions` are those that a key can be restricted to; None: every key can do everything. `restricts_addresses`:
    a key can be confined to networks. `label` says what is wrong with a label, None when nothing is; `label_rule` says
    the rule. `differ_by` says what makes keys not interchangeable, so that they are kept in pools of their own.
    `guide` gives the provider's own steps; an action without steps is not known to exist.
    """

    kinds: tuple[KeyKind, ...]
    permissions: frozenset[Permission] | None = None
    restricts_addresses: bool = False
    label: Callable[[str], str | None] = _any_label
    label_rule: str = ""
    differ_by: str = ""
    proofs: Mapping[KeyAction, tuple[KeyProof, ...]] = field(default_factory=_no_proof)
    guide: Callable[[GuideRequest], tuple[GuideStep, ...]]
    source: str
    grade: str

    def kind(self, name: str) -> KeyKind | None:
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
