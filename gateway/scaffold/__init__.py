"""The files of a new provider's distribution: templates, and what is put into them.

A template is a file with two additions. `<<name>>` is replaced by a word of the new distribution. A line
`%% bearer hmac payouts` begins lines that are there for these ways of authentication, and where one of these parts is
wanted, up to the next such line; `%%` alone ends that. A template of which nothing is left makes no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable

from gateway._version import __version__
from gateway.contracts.adapter import CONTRACT_VERSION
from gateway.errors import InvalidRequest

__all__ = ["MARKER", "NewProvider", "Part", "Scheme", "left_to_fill_in", "render"]

MARKER = "FILL IN:"
"""Stands in front of everything that only the author of an adapter can know."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 32
_TITLE = re.compile(r"[^\W_](?:[\w .,&+()-]{0,38}[\w)])?")
_WORD = re.compile(r"<<(\w+)>>")


class Scheme(StrEnum):
    """How a provider's requests are authenticated."""

    BEARER = "bearer"
    API_KEY = "api-key"
    HMAC = "hmac"
    NONE = "none"


class Part(StrEnum):
    """What an adapter may have beside orders and callbacks."""

    WALLETS = "wallets"
    PAYOUTS = "payouts"


@dataclass(frozen=True, slots=True)
class NewProvider:
    """What a new distribution is made from. Raises InvalidRequest for names that cannot be one."""

    name: str
    scheme: Scheme = Scheme.BEARER
    title: str = ""
    parts: frozenset[Part] = frozenset()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > _LONGEST:
            raise InvalidRequest(
                f"not a provider's name: {self.name[:40]!r}",
                hint=f"lower case letters, digits and '-' between them, a letter first, at most {_LONGEST}: acme-pay",
            )
        if not self.title:
            object.__setattr__(self, "title", " ".join(map(str.capitalize, self.name.split("-"))))
        if not _TITLE.fullmatch(self.title):
            raise InvalidRequest(
                f"not a title: {self.title[:60]!r}",
                hint="at most 40 letters, digits, spaces and . , & + ( ) -, a letter or digit first: Acme Pay",
            )

    @property
    def distribution(self) -> str:
        return f"gateway-{self.name}"

    @property
    def package(self) -> str:
        return self.distribution.replace("-", "_")

    def words(self) -> Mapping[str, str]:
        return {
            "name": self.name,
            "title": self.title,
            "distribution": self.distribution,
            "package": self.package,
            "Class": "".join(map(str.capitalize, self.name.split("-"))),
            "ENV": self.name.upper().replace("-", "_"),
            "version": __version__,
            "next_version": _next(__version__),
            "contract": str(CONTRACT_VERSION),
            **self._imports(),
        }

    def _imports(self) -> Mapping[str, str]:
        """The names in imports that depend on several choices, in order."""
        pays, has_wallets = Part.PAYOUTS in self.parts, Part.WALLETS in self.parts
        signs = self.scheme is not Scheme.NONE
        return {
            "contracts": _listed(
                "Adapter", "Auth" * signs, "IncomingCallback", "NewOrder", "NewWithdrawal" * pays, "Notice", "Query"
            ),
            "models": _listed("Page", "ProviderOrder", "ProviderWithdrawal" * pays, "Wallet" * has_wallets),
            "modules": _listed("auth" * signs, "callbacks", "mapping", "payouts" * pays, "wallets" * has_wallets),
            "errors": _listed(
                "AuthenticationFailed" * signs,
                "Conflict",
                "InsufficientFunds" * pays,
                "InvalidRequest",
                "NotFound",
                "OutcomeUnknown" * pays,
            ),
            "public": _listed("CryptoAddress" * pays, "Gateway", "Money", "OrderRequest", "WithdrawalRequest" * pays),
            "testing": _listed("SandboxServer", "faults" * pays),
        }


def render(provider: NewProvider) -> dict[str, str]:
    """Every file of the distribution by its path, in the order in which they are read."""
    words = provider.words()
    made: dict[str, str] = {}
    for path, text in _templates(files(__name__) / "templates"):
        whole = _WORD.sub(lambda found: words[found[1]], _for({provider.scheme, *provider.parts}, text))
        if whole.strip() or not text:
            made[path.replace("package", provider.package, 1) if path.startswith("src/") else path] = whole
    return made


def left_to_fill_in(made: Mapping[str, str]) -> list[str]:
    """The marked places, as file, line and what is missing."""
    return [
        f"{path}:{number}: {line.partition(MARKER)[2].removesuffix('-->').strip()}"
        for path, text in made.items()
        for number, line in enumerate(text.splitlines(), 1)
        if MARKER in line
    ]


def _templates(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    """The templates by the path of what they make; what is hidden in a distribution is not hidden here."""
    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.is_dir(), entry.name)):
        if entry.is_dir():
            yield from _templates(entry, f"{above}{_HIDDEN.get(entry.name, entry.name)}/")
        elif entry.name.endswith(".tmpl"):
            name = entry.name.removesuffix(".tmpl")
            yield above + _HIDDEN.get(name, name), entry.read_text(encoding="utf-8")


_HIDDEN = {"ci": ".ci", "gitignore": ".gitignore"}


def _listed(*names: str) -> str:
    return ", ".join(name for name in names if name)


def _for(chosen: set[str], text: str) -> str:
    kept: list[str] = []
    wanted = True
    for line in text.splitlines(keepends=True):
        if line.startswith("%%"):
            wanted = line.split()[1:] == [] or not chosen.isdisjoint(line.split()[1:])
        elif wanted:
            kept.append(line)
    return "".join(kept)


def _next(version: str) -> str:
    """The first version that may change what an adapter is written against (docs/stability.md)."""
    major, minor, *_ = map(int, re.findall(r"\d+", version))
    return f"0.{minor + 1}" if major == 0 else str(major + 1)
