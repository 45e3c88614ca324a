"""What is said of a key on the line, and its parts, which are entered: a secret is never an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.cli import completion
from gateway.cli.output import shown
from gateway.cli.session import misuse
from gateway.cli.unseen import line_typed, typed_unseen
from gateway.contracts import KeyKind, KeyPart
from gateway.errors import GatewayError
from gateway.models.keys import NewKey, Permission
from gateway.secrets import Secret

__all__ = [
    "Addresses",
    "Created",
    "Expires",
    "Kind",
    "Label",
    "NewLabel",
    "NoCheck",
    "Permissions",
    "Pool",
    "entered_part",
    "entered_parts",
    "moment",
    "new_key",
    "read_part",
]

Label = Annotated[str, typer.Argument(help="The key's label.", autocompletion=completion.key_labels)]
NewLabel = Annotated[str, typer.Argument(help="The new key's label; the provider's own rule for labels holds too.")]
Kind = Annotated[
    str | None,
    typer.Option("--kind", metavar="KIND", help="The kind of key, where the provider has several."),
]
Permissions = Annotated[
    list[Permission] | None,
    typer.Option("--permission", help="What the key may do; repeatable."),
]
Addresses = Annotated[
    list[str] | None,
    typer.Option(
        "--ip",
        metavar="ADDRESS",
        help="An address or network that the key works from; repeatable.",
    ),
]
Pool = Annotated[
    str | None,
    typer.Option("--pool", metavar="NAME", help="Keys of one pool stand in for each other [default: default]."),
]
Created = Annotated[
    str | None, typer.Option("--created", metavar="TIME", help="When it was made at the provider, such as 2026-01-31.")
]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="TIME", help="When it stops working, such as 2027-01-31.")
]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Keep it without having read with it at the provider.")]


def new_key(
    label: str,
    *,
    kind: str | None = None,
    permissions: Iterable[Permission] | None = None,
    networks: Sequence[str] | None = None,
    pool: str | None = None,
    created: str | None = None,
    expires: str | None = None,
) -> NewKey:
    """A key without its parts; what was not said is not set. Raises InvalidRequest."""
    said: dict[str, Any] = {
        "kind": kind,
        "permissions": frozenset(permissions) if permissions else None,
        "networks": tuple(networks) if networks else None,
        "pool": pool,
        "created_at": moment(created, "--created"),
        "expires_at": moment(expires, "--expires"),
    }
    return NewKey(label=label, parts={}, **{name: value for name, value in said.items() if value is not None})


def moment(text: str | None, option: str) -> datetime | None:
    """The time that an option states; UTC where it does not say."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        misuse(f"{option} is no time: {text!r}", hint="such as 2026-01-31 or 2026-01-31T12:00:00Z")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def entered_parts(kind: KeyKind) -> dict[str, Secret]:
    """Every part of a key: typed on a terminal, the secret ones unseen; else a line of standard input for each, in the
    order in which its kind has them. Raises GatewayError when one is missing.
    """
    return {part.name: entered_part(part, exact=kind.issues) for part in kind.parts}


def entered_part(part: KeyPart, *, exact: bool = False) -> Secret:
    """One part. Raises GatewayError when there is none, or when it is no text."""
    try:
        text = read_part(part, exact=exact)
    except EOFError:
        text = Secret("")
    if not text:
        raise GatewayError(f"the {part.title} is missing: nothing was done")
    return text


def read_part(part: KeyPart, *, exact: bool = False) -> Secret:
    """What is typed for a part, unseen when it is secret, without the space that was copied with it; a password is
    `exact`. A line of standard input where that is no terminal. Raises EOFError, and InvalidRequest for what is no
    text.
    """
    on_terminal, prompt = sys.stdin.isatty(), f"{shown(part.title[0].upper() + part.title[1:])}: "
    if on_terminal and not part.public:
        text = typed_unseen(prompt)
    else:
        if on_terminal:
            sys.stderr.write(prompt)
            sys.stderr.flush()
        text = line_typed()
        if not text:
            raise EOFError
        text = text.rstrip("\r\n")
    return Secret(text if exact else text.strip())
