"""What a shell is offered where a value stands: accounts, providers, references, assets.

A completion reads the configuration and the store's file. It asks no provider, resolves no secret, changes nothing and
waits for nobody; where something is wrong it has no candidates and says nothing, because a message would stand in the
middle of the line that somebody is typing.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from gateway.assets import known_assets
from gateway.config import DEFAULT_STORE, read_settings
from gateway.models.events import EVENT_TYPES
from gateway.plugins import load_plugins

__all__ = [
    "account_names",
    "amounts",
    "coins",
    "customers",
    "event_types",
    "handlers",
    "journal_entries",
    "key_labels",
    "orders",
    "paid_orders",
    "provider_names",
    "refunds",
    "stories",
    "trades",
    "unsettled_entries",
    "withdrawals",
]

MOST = 100
"""So many references are offered, the newest first."""
_LOOKED_THROUGH = 1000
_SECONDS = 0.2

# Nothing else is offered: what is offered goes through shells that evaluate it, and references are anybody's texts.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:@%+=/-]*", re.ASCII)
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]*)?) *([A-Za-z0-9@-]*)", re.ASCII)

Candidate = tuple[str, str | None]
"""A value, and a word about it."""
Candidates = list[tuple[str, str]]


def account_names(context: typer.Context, incomplete: str) -> Candidates:
    return _offered(lambda: _accounts(_settings(context)), incomplete)


def provider_names(context: typer.Context, incomplete: str) -> Candidates:
    return _offered(lambda: ((name, it.title) for name, it in load_plugins().providers.items()), incomplete)


def coins(context: typer.Context, incomplete: str) -> Candidates:
    return _offered(lambda: ((asset.code, asset.name) for asset in known_assets() if not asset.is_fiat), incomplete)


def amounts(context: typer.Context, incomplete: str) -> Candidates:
    """Behind a number, every asset: `25 U` becomes `25 USD`."""

    def found() -> Iterator[Candidate]:
        typed = _AMOUNT.fullmatch(incomplete)
        return ((f"{typed[1]} {asset.code}", asset.name) for asset in known_assets() if typed)

    return _offered(found, incomplete)


def event_types(context: typer.Context, incomplete: str) -> Candidates:
    return _offered(lambda: EVENT_TYPES.items(), incomplete)


def stories(context: typer.Context, incomplete: str) -> Candidates:
    def found() -> Iterator[Candidate]:
        from gateway.cli.demo import STORIES

        return ((name, None) for name in STORIES)

    return _offered(found, incomplete)


def _stored(table: str, column: str | None = "status", *only: str) -> Callable[[typer.Context, str], Candidates]:
    """References of this table; `column` is the word about each, and with `only` it has to be one of these."""

    def complete(context: typer.Context, incomplete: str) -> Candidates:
        def found() -> Iterator[Candidate]:
            for reference, word in _references(_file(_settings(context)), table, column or "NULL", incomplete):
                if not only or word in only:
                    yield reference, word

        return _offered(found, incomplete)[:MOST]

    return complete


orders = _stored("orders")
paid_orders = _stored("orders", "status", "paid", "underpaid")
withdrawals = _stored("withdrawals")
refunds = _stored("refunds")
trades = _stored("trades")
customers = _stored("customers", None)
journal_entries = _stored("journal", "state")
unsettled_entries = _stored("journal", "state", "unknown", "sent")
key_labels = _stored("(SELECT id, label AS reference, state FROM api_keys)", "state")
handlers = _stored("(SELECT rowid AS id, name AS reference FROM handlers)", None)


def _offered(find: Callable[[], Iterable[Candidate]], incomplete: str) -> Candidates:
    try:
        found = {value: word or "" for value, word in find() if value.startswith(incomplete)}
    except Exception:
        return []
    return [(value, word) for value, word in found.items() if all(map(_PLAIN.fullmatch, value.split(" ")))]


def _settings(context: typer.Context) -> dict[str, Any]:
    """The configuration as data: not checked, its secrets not resolved."""
    from gateway.cli.session import Session

    named = context.params.get("config") or context.find_root().params.get("config")
    return read_settings(Session(config=Path(named).expanduser() if named else None).file())


def _accounts(settings: dict[str, Any]) -> Iterator[Candidate]:
    for name, table in settings.get("accounts", {}).items():
        provider = table.get("provider")
        yield name, provider if isinstance(provider, str) and _PLAIN.fullmatch(provider) else None


def _file(settings: dict[str, Any]) -> Path:
    """The store, which is offered from when it is a file here: another one would have to be asked over a network."""
    kind, _, path = settings.get("store", DEFAULT_STORE).partition(":///")
    if kind != "sqlite" or not path or "?" in path:
        raise ValueError("the store is no file")
    return Path(path).resolve(strict=True)


def _references(file: Path, table: str, column: str, beginning: str) -> Iterator[Candidate]:
    # Where no write-ahead log lies beside it nobody has the database open. It is then read as a plain file, because
    # SQLite would leave such a log, and its index, behind.
    mode = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{file.as_uri()}?{mode}", uri=True, timeout=0)
    with contextlib.closing(connection):
        end = time.monotonic() + _SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        newest = f"SELECT id, reference, {column} AS word FROM {table} ORDER BY id DESC LIMIT {_LOOKED_THROUGH}"
        yield from connection.execute(
            f"SELECT reference, word FROM ({newest}) WHERE substr(reference, 1, ?) = ? ORDER BY id DESC",
            (len(beginning), beginning),
        )
        # Older ones too, once there is something to look for. References are printable ASCII.
        if beginning:
            yield from connection.execute(
                f"SELECT reference, {column} FROM {table} WHERE reference >= ? AND reference < ?"
                f" ORDER BY reference LIMIT {MOST}",
                (beginning, beginning + "\x7f"),
            )
