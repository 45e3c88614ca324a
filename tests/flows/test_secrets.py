"""Nothing secret in the store's files, in logs, errors, records, reprs or JSON: keys of every flavour, and cards."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flows.world import World, cart, payout, top_up
from gateway.errors import GatewayError
from gateway.models import CardRequest, RefundRequest, TradeRequest
from gateway.testing import faults
from gateway_aurpay.sandbox.access import API_KEY, API_TOKEN, PASSWORD

KEYS = {
    "the API key of Aurpay": API_KEY,
    "the API token of Aurpay": API_TOKEN,
    "the API secret of Aurpay": "sandbox-aurpay-api-secret",
    "the password of Aurpay": PASSWORD,
    "the callback secret of Aurpay": "sandbox-aurpay-callback-secret",
    "the API key of Aurex": "aurex-sandbox-key-one",
    "the public key of Emirex": "emirex-sandbox-public-key",
    "the secret of Emirex": "emirex-sandbox-secret",
}


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All that any logger of this process says, down to DEBUG."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def shown(value: Any) -> str:
    """Every way in which a model is usually shown."""
    return "\n".join([repr(value), str(value), f"{value}", value.model_dump_json(), repr(value.model_dump())])


def store_bytes(folder: Path) -> bytes:
    files = sorted(folder.glob("gateway.db*"))
    assert {file.name for file in files} >= {"gateway.db", "gateway.db-wal"}
    return b"\n".join(file.read_bytes() for file in files if file.is_file())


def test_no_secret_is_written_anywhere(world: World, colour: str) -> None:
    reports: list[str] = []
    cards: list[str] = []
    with everything_logged() as said, world.gateway(colour, store=world.store) as gw:
        gw.raw.observe(lambda record: reports.append(repr(record)))
        world.customer_with_card(gw)
        card = gw.cards.create(
            CardRequest(reference="card-1", customer="c-42", name="Travel", initial_balance="25 USD"), account="cards"
        )
        revealed = gw.cards.reveal(account="cards", customer="c-42", card=card.provider_id)
        code = gw.cards.one_time_code(account="cards", customer="c-42", card=card.provider_id)
        number = revealed.number.reveal()
        cards = [number, number.replace(" ", ""), revealed.cvv.reveal(), code.code.reveal()]
        reports += [shown(model) for model in (card, revealed, code)]
        issued = gw.keys.issue(account="login")
        reports.append(shown(issued))
        gw.withdrawals.create(top_up(card.provider_id), account="cards")
        for account in ("shop", "backup", "login"):
            order = gw.orders.create(cart(account), account=account)
            world.server.pay("aurpay", order.provider_id)
            reports.append(shown(gw.orders.get(account)))
            gw.withdrawals.create(payout(f"payout-{account}", "0.0001"), account=account)
        reports.append(shown(gw.refunds.create(RefundRequest(reference="refund-1", order="shop"))))
        trade = TradeRequest(reference="t", market="BTC/USDC", side="buy", volume="0.01", rate="100")
        reports.append(shown(gw.trades.create(trade, account="treasury")))
        reports += [repr(gw.raw), repr(gw.core.settings), repr(vars(gw.core.account("shop")))]
        reports += [repr(entry) for entry in gw.journal.list()]
        kept = store_bytes(world.folder)
    written = said.getvalue() + "\n".join(reports)
    for what, secret in {**KEYS, "a key from a login": issued.secret.reveal()}.items():
        assert secret not in written, what
        assert secret.encode() not in kept, what
    for digits in cards[:2]:
        assert digits not in written
        assert digits.encode() not in kept
    # Three digits stand somewhere in any file, so the CVV and the code are looked for beside their names.
    for name, digits in (("cvv", cards[2]), ("otp", cards[3])):
        assert f'"{name}":"{digits}"'.encode() not in kept.replace(b" ", b"")
        assert f"'{name}': '{digits}'" not in written
        assert f'"{name}":"{digits}"' not in written
    assert b"card-1" in kept


ECHO = '{"code": 0, "data": {"seen": "%s", "api_key": "%s"}, "message": "you sent %s"}'


@pytest.mark.parametrize("account", ["shop", "backup", "login", "cards", "treasury"])
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_an_answer_that_repeats_the_key_does_not_make_it_public(world: World, account: str, status: int) -> None:
    """A careless provider writes into its error what it was sent."""
    provider = {"cards": "aurex", "treasury": "emirex"}.get(account, "aurpay")
    for secret in KEYS.values():
        body = ECHO.replace("%s", secret)
        world.server.faults(provider).add(faults.Status(status=status, body=body, times=1, path="/anything"))
    with everything_logged() as said, world.gateway(store=world.store) as gw:
        told = []
        for _ in KEYS:
            try:
                answer = gw.account(account).request("POST", "/anything", json={"a": "b"})
                told.append(repr(answer))
            except GatewayError as error:
                told += [str(error), repr(error), repr(error.to_dict()), "".join(traceback.format_exception(error))]
        own = {
            "shop": ["the API key of Aurpay"],
            "backup": ["the API token of Aurpay", "the API secret of Aurpay"],
            "login": ["the password of Aurpay"],
            "cards": ["the API key of Aurex"],
            "treasury": ["the public key of Emirex", "the secret of Emirex"],
        }[account]
    assert len(told) >= len(KEYS)
    for what in own:
        assert KEYS[what] not in "\n".join(told) + said.getvalue(), what


def test_a_lost_card_keeps_its_number_out_of_the_report(world: World, colour: str) -> None:
    """The answer breaks off in the middle of the card: what came of it is not shown."""
    request = CardRequest(reference="card-1", customer="c-42", name="Travel", initial_balance="25 USD")
    secret = '"cardNumber": "4000 0012 3456 7899", "cvv": "987"'
    body = f'{{"success": true, "data": {{"cardId": 7, {secret}, "cardName": "Travel"}}}}'
    with everything_logged() as said, world.gateway(colour, store=world.store) as gw:
        world.customer_with_card(gw)
        world.server.faults("aurex").add(faults.Status(status=200, body=body, executed=True, method="POST"))
        with pytest.raises(GatewayError) as error:
            gw.cards.create(request, account="cards")
        (entry,) = gw.journal.show("card-1")
        kept = store_bytes(world.folder)
    told = (
        "".join(traceback.format_exception(error.value)) + repr(error.value.to_dict()) + repr(entry) + said.getvalue()
    )
    assert "4000 0012" not in told
    assert "987" not in str(error.value)
    assert b"4000 0012" not in kept
    assert b'"987"' not in kept
    assert entry.state == "unknown"
