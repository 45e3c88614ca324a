"""Reads that keep nothing: wallets, transactions, currencies, markets and keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gateway.accounts import OpenAccount
from gateway.contracts import ListsWallets, Query
from gateway.core import Core
from gateway.engine import keys
from gateway.engine.clock import Deadline
from gateway.engine.effects import Flow, transact
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import InvalidRequest, StoreError
from gateway.exchange import Operation, Request, Response
from gateway.flows.orders import customer_at
from gateway.models.base import Page
from gateway.models.keys import Permission
from gateway.models.wallets import Wallet

__all__ = ["page", "rate_headroom", "read", "request", "wallets"]

T = TypeVar("T")

# RFC 3986, 3.3: what a path may be written with.
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")


def read(
    core: Core,
    account: str,
    operation: str,
    make: Callable[[OpenAccount], Operation[T]],
    *,
    variant: str = "",
    seconds: float | None,
) -> Flow[T]:
    """One operation of the account's adapter that keeps nothing here."""
    opened = core.account(account)
    opened.require(operation, variant)
    run = Performance(opened, operation, core.deadline(seconds, opened))
    return (yield from perform(run, Begun(make(opened))))


def page(
    core: Core,
    account: str,
    operation: str,
    make: Callable[[OpenAccount, Query], Operation[Page[T]]],
    *,
    kind: str = "",
    cursor: str | None,
    size: int,
    seconds: float | None,
) -> Flow[Page[T]]:
    """One page of a provider's list."""
    query = Query(cursor=cursor, size=size, kind=kind)
    return (
        yield from read(core, account, operation, lambda opened: make(opened, query), variant=kind, seconds=seconds)
    )


def wallets(
    core: Core,
    account: str,
    *,
    kind: str,
    customer: str | None,
    cursor: str | None,
    size: int,
    seconds: float | None,
) -> Flow[Page[Wallet]]:
    """One page of an account's balances, of the merchant or of one of its customers."""
    opened = core.account(account)
    opened.require("wallets.list", kind)
    query = Query(cursor=cursor, size=size, kind=kind, customer=(yield from customer_at(opened, customer)))
    run = Performance(opened, "wallets.list", core.deadline(seconds, opened))
    found: Page[Wallet] = yield from perform(run, Begun(opened.able(ListsWallets).list_wallets(query)))
    named = (wallet.model_copy(update={"account": account, "customer": customer}) for wallet in found.items)
    return Page[Wallet](items=tuple(named), next=found.next)


def rate_headroom(account: OpenAccount) -> Flow[int | None]:
    """How many calls of the account's keys may leave now."""
    if account.rate_limit is None:
        return None
    if account.ring_due():
        yield from keys.refresh(account, Deadline.after(account.clock, account.settings.timeout))
    try:
        return (yield from transact(account.free_calls))
    except StoreError:
        return account.free_calls_here()


def request(
    core: Core,
    account: str,
    method: str,
    path: str,
    *,
    query: dict[str, str] | None,
    json: Any,
    write: bool | None,
    signed: bool,
    permissions: Iterable[Permission | str] | None,
    seconds: float | None,
) -> Flow[Response]:
    """Any call of the provider: signed, limited, redacted; not journaled. `write` None: everything but GET and HEAD
    writes.
    """
    opened = core.account(account)
    verb = method.upper()
    if not verb.isascii() or not verb.isalpha():
        raise InvalidRequest("the method is a word such as GET or POST")
    if not _PATH.fullmatch(path) or path.startswith("//") or {".", ".."} & set(path.split("/")):
        raise InvalidRequest(
            "the path starts with one '/', relative to the account's base_url; the query is given apart",
            hint="characters that an address cannot have are percent-encoded in it, and it has no '.' or '..'",
        )
    made = Request(
        verb,
        path,
        query=tuple((query or {}).items()),
        json=json,
        write=verb not in ("GET", "HEAD") if write is None else write,
        signed=signed,
    )
    try:
        made.encoded()  # only to see that it can be: an auth may have to add to the body, and encodes it itself
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"json cannot be sent: {error}") from None

    def operation() -> Operation[Response]:
        answer: Response = yield made
        return answer

    try:
        wanted = frozenset(map(Permission, permissions if permissions is not None else _needed(made)))
    except ValueError:
        raise InvalidRequest("no such permission", hint="there are " + ", ".join(Permission)) from None
    if not wanted:
        raise InvalidRequest("a key needs a permission for every call", hint="leave it out, or name what it takes")
    run = Performance(opened, f"{verb} {path}", core.deadline(seconds, opened), permissions=wanted)
    return (yield from perform(run, Begun(operation())))


def _needed(request: Request) -> Iterable[Permission]:
    """What a write that nobody knows may do is everything."""
    return Permission if request.write else (Permission.READ,)
