"""Balances, money movements and accepted currencies."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateway.contracts.lists import Query
from gateway.exchange import Operation
from gateway.models.base import Page
from gateway.models.transactions import Currency, Transaction
from gateway.models.wallets import Wallet

__all__ = ["ListsCurrencies", "ListsTransactions", "ListsWallets"]


@runtime_checkable
class ListsWallets(Protocol):
    def list_wallets(self, query: Query) -> Operation[Page[Wallet]]:
        """Balances of one kind (`query.kind`, a WalletKind); of a customer where the provider keeps them so."""
        ...


@runtime_checkable
class ListsTransactions(Protocol):
    def list_transactions(self, query: Query) -> Operation[Page[Transaction]]:
        """One page of the account's money movements, newest first where the provider says so."""
        ...


@runtime_checkable
class ListsCurrencies(Protocol):
    def list_currencies(self, query: Query) -> Operation[Page[Currency]]:
        """Accepted currencies of one kind (`query.kind`, a CurrencyKind)."""
        ...
