"""Cards. Every answer that carries a number, a CVV or a code is asked for with `quiet=True`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.contracts.lists import Query
from gateway.exchange import Operation
from gateway.models.base import Page
from gateway.models.cards import Card, CardRequest, CardTransaction, OneTimeCode

__all__ = ["CreatesCards", "GivesOneTimeCodes", "ListsCardTransactions", "ListsCards", "NewCard", "ReadsCards"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCard:
    """One card to issue."""

    request: CardRequest
    """What the merchant asked for; its own checks have passed."""
    customer: str
    """The provider's own number of the customer."""


@runtime_checkable
class CreatesCards(Protocol):
    def create_card(self, card: NewCard) -> Operation[Card]:
        """Issue the card. Never repeated by the engine once it may have been issued."""
        ...


@runtime_checkable
class ListsCards(Protocol):
    def list_cards(self, query: Query) -> Operation[Page[Card]]:
        """The cards of `query.customer`, without numbers."""
        ...


@runtime_checkable
class ReadsCards(Protocol):
    def get_card(self, customer: str, card: str) -> Operation[Card]:
        """One card with its number and CVV; both identifiers are the provider's own."""
        ...


@runtime_checkable
class ListsCardTransactions(Protocol):
    def list_card_transactions(self, customer: str, card: str, query: Query) -> Operation[Page[CardTransaction]]:
        """One page of what a card was used for; both identifiers are the provider's own."""
        ...


@runtime_checkable
class GivesOneTimeCodes(Protocol):
    def get_one_time_code(self, customer: str, card: str) -> Operation[OneTimeCode]:
        """The code that the card's holder is asked for now; both identifiers are the provider's own."""
        ...
