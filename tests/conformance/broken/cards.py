"""Acme with cards, and adapters that do not keep their numbers secret."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from conformance.acme import CAPABILITIES, AcmeAdapter, data_of, provider
from conformance.acme_sandbox import AcmeSandbox
from conformance.acme_subject import Acme
from conformance.broken.fault import fails
from gateway.capabilities import supported
from gateway.contracts import NewCard
from gateway.exchange import Operation, Request, Response, ask
from gateway.models import Card, CardStatus, CustomerRequest, ProviderCustomer
from gateway.secrets import CardNumber, Raw, Secret

NUMBER = "4111111111111111"


class CardsSandbox(AcmeSandbox):
    def __init__(self) -> None:
        super().__init__()
        self.cards: dict[str, dict[str, Any]] = {}
        self._app.router.routes += [
            self._route("POST", "/customers", lambda request, body: {"id": f"C{body['name']}"}),
            self._route("POST", "/cards", self._create_card),
            self._route("GET", "/cards/{id}", lambda request, body: self._card(request.path_params["id"])),
        ]

    def _card(self, name: str) -> object:
        """A card by its id or its number."""
        return next(card for card in self.cards.values() if name in (card["id"], card["number"]))

    def _create_card(self, request: Any, body: Any) -> object:
        number = f"K{len(self.cards) + 1}"
        balance = str(Decimal(body["balance"]))
        self.cards[number] = {"id": number, "balance": balance, "number": NUMBER, "cvv": "123"}
        return self.cards[number]


class WithCards(AcmeAdapter):
    """A sound adapter of an Acme that issues cards."""

    quiet = True

    def create_customer(self, request: CustomerRequest) -> Operation[ProviderCustomer]:
        asked = Request("POST", "/customers", json={"name": request.reference}, write=True)
        data = yield from ask(asked, data_of)
        return ProviderCustomer(provider_id=data["id"], raw=Raw(data))

    def create_card(self, card: NewCard) -> Operation[Card]:
        balance = card.request.initial_balance
        body = {"customer": card.customer, "balance": balance.amount, "coin": str(balance.asset)}
        return (yield from ask(Request("POST", "/cards", json=body, write=True, quiet=self.quiet), self.read_card))

    def get_card(self, customer: str, card: str) -> Operation[Card]:
        return (yield from ask(Request("GET", f"/cards/{card}", quiet=self.quiet), self.read_card))

    def read_card(self, response: Response) -> Card:
        data = data_of(response)
        return Card(
            provider_id=data["id"],
            status=CardStatus.ACTIVE,
            balance=self.money(data["balance"], "USDT@tron"),
            number=CardNumber(data["number"]),
            cvv=Secret(data["cvv"]),
            raw=Raw(data),
        )


def _provider(adapter: type[WithCards]) -> Any:
    return provider(
        adapter=adapter,
        capabilities=CAPABILITIES.replaced(
            supported("customers.create", "D", "acme: customers"),
            supported("cards.create", "D", "acme: cards"),
            supported("cards.get", "D", "acme: cards"),
        ),
    )


class AcmeWithCards(Acme):
    provider = _provider(WithCards)
    card = {"name": "Ada Example", "initial_balance": "25 USDT@tron"}

    def sandbox(self) -> CardsSandbox:
        return CardsSandbox()


class Telling(WithCards):
    quiet = False


class Printing(WithCards):
    def read_card(self, response: Response) -> Card:
        read = super().read_card(response)
        return read.model_copy(update={"name": f"card {read.number.reveal()}" if read.number else None})


class Keeping(WithCards):
    def read_card(self, response: Response) -> Card:
        data = data_of(response)
        return super().read_card(response).model_copy(update={"name": data["number"], "number": None})


@fails("test_a_call_shows_no_secret", "cards.create is answered with secrets, and its request is not quiet")
class LetsCardsBeReported(AcmeWithCards):
    """Does not say that the answer with a card's number is to be left out of every report."""

    provider = _provider(Telling)


@fails("test_a_call_shows_no_secret", "a secret that the answer reveals stands in the result of cards.create")
class PrintsTheNumber(AcmeWithCards):
    """Repeats the number of a card in the name that is shown."""

    provider = _provider(Printing)


@fails("test_a_call_shows_no_secret", "the number of a card stands in the result of cards.create")
class KeepsTheNumberAsText(AcmeWithCards):
    """Keeps the number of a card as a plain text."""

    provider = _provider(Keeping)


@fails("test_no_secret_is_in_the_store", "the store's files hold a secret: the number of a card")
class StoresTheNumber(KeepsTheNumberAsText):
    """Keeps the number of a card where the gateway stores it: in its own number at the provider."""

    provider = _provider(
        type(
            "Numbering",
            (WithCards,),
            {
                "read_card": lambda self, response: WithCards.read_card(self, response).model_copy(
                    update={"provider_id": data_of(response)["number"], "number": None}
                )
            },
        )
    )
