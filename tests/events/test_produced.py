"""Every type of event, produced through the public calls: at the right moment, once, not again by a repetition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows.world import World, cart, invoice, payout, top_up
from gateway.errors import GatewayError, InvalidRequest, OutcomeUnknown
from gateway.models import (
    EVENT_TYPES,
    CryptoAddress,
    Event,
    LightningInvoice,
    OrderRequest,
    RefundRequest,
    TradeRequest,
    WithdrawalRequest,
)
from gateway.money import Money
from gateway.testing import SandboxServer, faults
from gateway_aurpay.sandbox import AurpaySandbox
from support.colours import Opened, opened
from support.loopback import Answer, Loopback, Seen
from support.toy import account, answers, good, wrong

DETAILS = "/api/v2/order/detail/"
TRADE = TradeRequest(reference="t-1", market="BTC/USDC", side="sell", volume="0.9", rate=Decimal(59000))


def told(gw: Opened, subject: str = "order cart-1001") -> list[str]:
    """The types of the events of this subject, in order, without its kind."""
    found = [event for event in gw.events.since() if event.subject == subject]
    assert [event.id for event in found] == sorted({event.id for event in found})
    return [event.type.partition(".")[2] for event in found]


def last(gw: Opened) -> Event:
    found: Event = gw.events.since()[-1]
    return found


def read_twice(gw: Opened, reference: str = "cart-1001") -> None:
    """What was read before says nothing new."""
    for _ in range(2):
        gw.orders.get(reference)


# Orders


def test_an_order_is_created_and_paid(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(customer="c-7", metadata={"cart": "7"}), account="shop")
        assert told(gw) == ["created"]
        event = last(gw)
        assert (event.reference, event.account, event.provider) == ("cart-1001", "shop", "aurpay")
        assert (event.environment, event.at) == ("sandbox", order.attempts[0].updated_at)
        assert event.data == {
            "status": "pending",
            "exceptions": [],
            "price": {"amount": "25.00", "asset": "USD"},
            "received": None,
            "net": None,
            "attempt": 1,
            "provider_id": order.provider_id,
            "customer": "c-7",
            "metadata": {"cart": "7"},
        }
        for _ in range(2):
            gw.orders.create(cart(customer="c-7", metadata={"cart": "7"}), account="shop")
            gw.orders.get("cart-1001")
        assert told(gw) == ["created"]
        world.server.pay("aurpay", order.provider_id)
        read_twice(gw)
        assert told(gw) == ["created", "paid"]
        assert last(gw).data["status"] == "paid"


def test_money_that_comes_late(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.expire("aurpay", order.provider_id)
        read_twice(gw)
        assert told(gw) == ["created", "expired"]
        world.server.pay("aurpay", order.provider_id, "late")
        read_twice(gw)
        assert told(gw) == ["created", "expired", "paid"]
        assert last(gw).data["exceptions"] == ["late"]


def test_too_little_and_then_the_rest(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        order = gw.orders.create(cart(), account="shop")
        world.server.pay("aurpay", order.provider_id, "under")
        read_twice(gw)
        assert told(gw) == ["created", "underpaid"]
        assert last(gw).data["exceptions"] == ["partial"]
        world.server.pay("aurpay", order.provider_id)
        read_twice(gw)
        assert told(gw) == ["created", "underpaid", "paid"]


def test_an_order_that_is_cancelled_is_renewed(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        first = gw.orders.create(cart(), account="shop")
        world.server.fail("aurpay", first.provider_id)
        read_twice(gw)
        assert told(gw) == ["created", "cancelled"]
        second = gw.orders.renew("cart-1001")
        gw.orders.create(cart(), account="shop")
        assert told(gw) == ["created", "cancelled", "renewed"]
        assert (last(gw).data["attempt"], last(gw).data["provider_id"]) == (2, second.provider_id)
        world.server.expire("aurpay", second.provider_id)
        read_twice(gw)
        assert told(gw) == ["created", "cancelled", "renewed", "expired"]


def test_a_failed_deposit_is_no_second_creation_when_it_is_renewed(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        world.customer_with_card(gw)
        request = cart(price="100 USD", pay_with="SOL", customer="c-42", settles_to="customer")
        order = gw.orders.create(request, account="cards")
        world.server.fail("aurex", order.provider_id.partition("/")[2])
        read_twice(gw)
        gw.orders.renew("cart-1001", account="cards")
        assert told(gw) == ["created", "failed", "renewed"]


def test_both_attempts_are_paid(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        one = gw.orders.create(cart(), account="shop").provider_id
        world.server.expire("aurpay", one)
        two = gw.orders.renew("cart-1001").provider_id
        world.server.pay("aurpay", two)
        read_twice(gw)
        assert told(gw) == ["created", "expired", "renewed", "paid"]
        world.server.pay("aurpay", one, "late")
        read_twice(gw)
        assert told(gw) == ["created", "expired", "renewed", "paid", "overpaid"]
        assert (last(gw).data["attempt"], last(gw).data["status"]) == (1, "paid")


def test_a_creation_that_is_refused_has_failed_and_a_repetition_is_no_news(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(faults.Status(status=400, method="POST"))
    with world.gateway(colour) as gw:
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                gw.orders.create(cart(), account="shop")
        assert told(gw) == ["failed"]
        assert (last(gw).account, last(gw).data["provider_id"]) == ("shop", None)
        gw.orders.renew("cart-1001", account="shop")
        assert told(gw) == ["failed", "created"], "the first one that the payer can pay"


def test_a_refused_renewal_does_not_expire_the_order_again(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        one = gw.orders.create(cart(), account="shop").provider_id
        world.server.expire("aurpay", one)
        gw.orders.get("cart-1001")
        world.server.faults("aurpay").add(faults.Status(status=400, method="POST"))
        with pytest.raises(InvalidRequest):
            gw.orders.renew("cart-1001")
        read_twice(gw)
        assert told(gw) == ["created", "expired"]


def test_what_never_left_is_no_news(world: World, colour: str) -> None:
    world.server.faults("aurpay").add(faults.Status(status=401, method="POST", times=2))
    with world.gateway(colour) as gw:
        for _ in range(2):
            with pytest.raises(GatewayError):
                gw.orders.create(cart(), account="shop")
        assert told(gw) == []
        gw.orders.create(cart(), account="shop")
        assert told(gw) == ["created"]


def test_an_unknown_creation_is_told_when_it_is_known(world: World, colour: str) -> None:
    world.lose_answer()
    with world.gateway(colour) as gw:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                gw.orders.create(cart(), account="shop")
        assert told(gw) == []
        (made,) = world.aurpay.orders()
        gw.journal.settle("cart-1001", outcome="done", reason="seen", by="ops", provider_id=made.id)
        assert told(gw) == ["created"]
        read_twice(gw)
        assert told(gw) == ["created"]


def test_an_unknown_attempt_hides_no_end_of_the_one_that_could_be_paid(world: World, colour: str) -> None:
    world.lose_answer()
    with world.gateway(colour) as gw:
        with pytest.raises(OutcomeUnknown):
            gw.orders.create(cart(), account="shop")
        two = gw.orders.renew("cart-1001", account="shop").provider_id
        assert told(gw) == ["created"]
        world.server.expire("aurpay", two)
        read_twice(gw)
        assert told(gw) == ["created", "expired"]
        gw.journal.settle("cart-1001", outcome="failed", reason="not there", by="ops", scope="1")
        assert told(gw) == ["created", "expired"]


def test_the_payer_chooses_on_a_page_and_the_number_is_learned_later(tmp_path: Path, colour: str) -> None:
    world = World(tmp_path)
    world.aurpay = AurpaySandbox(pay_url_has_order_id=False)
    world.server = SandboxServer([world.aurpay, world.aurex, world.emirex])
    with world, world.gateway(colour) as gw:
        gw.orders.create(cart(pay_with=None), account="shop")
        assert told(gw) == ["created"]
        (checkout,) = world.aurpay.orders()
        world.aurpay.choose(checkout.id, "USDT-TRC20")
        (number,) = {order.id for order in world.aurpay.orders()} - {checkout.id}
        gw.orders.link("cart-1001", number)
        assert told(gw) == ["created"]
        world.server.pay("aurpay", number)
        read_twice(gw)
        assert told(gw) == ["created", "paid"]


@contextmanager
def toy(colour: str, statuses: list[str], path: str, **amounts: str) -> Iterator[Opened]:
    """A gateway at the toy provider, whose things under this path show one status after the other, and stay at the
    last.
    """

    def shows(seen: Seen) -> Answer:
        if seen.method != "GET" or not seen.path.startswith(path):
            return answers(seen)
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return good({"id": seen.path.rsplit("/", 1)[-1], "status": status, **amounts})

    with (
        Loopback(app=shows) as server,
        opened(colour, accounts={"shop": account(server.url)}) as gw,
    ):
        yield gw


ORDER = OrderRequest(reference="cart-1001", price=Money("25", "USD"))


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["processing", "processing", "paid"], ["created", "processing", "paid"]),
        (["processing", "underpaid", "expired", "paid"], ["created", "processing", "underpaid", "expired", "paid"]),
        (["odd", "odd", "processing", "odd", "paid"], ["created", "processing", "paid"]),
        (["underpaid", "open", "processing", "paid"], ["created", "underpaid", "paid"]),
        (["cancelled", "paid"], ["created", "cancelled"]),
        (["refunded"], ["created", "refunded"]),
    ],
)
def test_every_move_is_told_once_and_what_may_not_follow_is_not(
    colour: str, statuses: list[str], expected: list[str]
) -> None:
    with toy(colour, list(statuses), "/orders/") as gw:
        gw.orders.create(ORDER)
        for _ in range(len(statuses) + 2):
            gw.orders.get("cart-1001")
        assert told(gw) == expected


def test_too_much_is_told_beside_paid(colour: str) -> None:
    with toy(colour, ["open", "paid"], "/orders/", amount="25", received="26") as gw:
        gw.orders.create(ORDER)
        for _ in range(4):
            gw.orders.get("cart-1001")
        assert told(gw) == ["created", "paid", "overpaid"]
        assert last(gw).data["exceptions"] == ["over"]
        assert last(gw).data["received"] == {"amount": "26", "asset": "USDT@tron"}


def test_too_much_and_then_a_second_payment_are_two_pieces_of_news(colour: str) -> None:
    shown = {"1": "expired", "2": "open"}
    numbers = iter(shown)

    def app(seen: Seen) -> Answer:
        number = next(numbers) if seen.method == "POST" else seen.path.rpartition("/")[2]
        status = "open" if seen.method == "POST" else shown[number]
        return good({"id": number, "status": status, "amount": "25", "received": "26"})

    with Loopback(app=app) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        gw.orders.create(ORDER)
        gw.orders.renew("cart-1001")
        shown["2"] = "paid"
        read_twice(gw)
        assert told(gw) == ["created", "expired", "renewed", "paid", "overpaid"]
        shown["1"] = "paid"
        read_twice(gw)
        assert told(gw) == ["created", "expired", "renewed", "paid", "overpaid", "overpaid"]


# Refunds


def test_a_refund_and_the_order_that_it_is_of(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        number = gw.orders.create(cart(), account="shop").provider_id
        world.server.pay("aurpay", number)
        request = RefundRequest(reference="ref-1", order="cart-1001")
        gw.refunds.create(request)
        gw.refunds.create(request)
        gw.refunds.get("ref-1")
        assert told(gw, "refund ref-1") == ["unconfirmed"], "Aurpay's answer proves nothing"
        event = last(gw)
        assert (event.data["order"], event.data["attempt"], event.account) == ("cart-1001", 1, "shop")
        world.aurpay.complete_refund(number)
        for _ in range(2):
            gw.refunds.get("ref-1")
            gw.refunds.create(request)
        read_twice(gw)
        assert told(gw, "refund ref-1") == ["unconfirmed", "created", "completed"]
        assert told(gw) == ["created", "paid", "refunded"]


def test_of_two_payments_the_order_is_refunded_with_the_last(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        one = gw.orders.create(cart(), account="shop").provider_id
        world.server.expire("aurpay", one)
        two = gw.orders.renew("cart-1001").provider_id
        world.server.pay("aurpay", one, "late")
        world.server.pay("aurpay", two)
        gw.refunds.create(RefundRequest(reference="ref-1", order="cart-1001"))
        world.aurpay.complete_refund(two)
        gw.refunds.get("ref-1")
        before = told(gw)
        assert before[-1] == "overpaid"
        assert told(gw, "refund ref-1") == ["unconfirmed", "created", "completed"]
        gw.refunds.create(RefundRequest(reference="ref-2", order="cart-1001"))
        world.aurpay.complete_refund(one)
        gw.refunds.get("ref-2")
        assert told(gw) == [*before, "refunded"]


def paid_order(world: World, gw: Opened) -> None:
    world.server.pay("aurpay", gw.orders.create(cart(), account="shop").provider_id)
    gw.orders.get("cart-1001")


def test_a_refused_refund_has_failed(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        paid_order(world, gw)
        world.server.faults("aurpay").add(faults.Status(status=400, method="POST"))
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                gw.refunds.create(RefundRequest(reference="ref-1", order="cart-1001"))
        assert told(gw, "refund ref-1") == ["failed"]


@pytest.mark.parametrize(
    ("outcome", "expected"), [("done", ["unconfirmed", "created", "processing"]), ("failed", ["unconfirmed", "failed"])]
)
def test_an_unknown_refund_is_told_and_so_is_what_became_of_it(
    world: World, colour: str, outcome: Any, expected: list[str]
) -> None:
    with world.gateway(colour) as gw:
        paid_order(world, gw)
        world.lose_answer()
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                gw.refunds.create(RefundRequest(reference="ref-1", order="cart-1001"))
        assert told(gw, "refund ref-1") == ["unconfirmed"]
        gw.journal.settle("ref-1", outcome=outcome, reason="seen", by="ops")
        assert told(gw, "refund ref-1") == expected


# Withdrawals


def test_a_payout_that_the_provider_has_taken_on(world: World, colour: str) -> None:
    request = payout()
    with world.gateway(colour) as gw:
        for _ in range(2):
            gw.withdrawals.create(request, account="shop")
            gw.withdrawals.get("payout-77")
        assert told(gw, "withdrawal payout-77") == ["created"]
        event = last(gw)
        assert event.data["amount"] == {"amount": "0.001", "asset": "BTC@lightning"}
        assert event.data["to"] == str(request.to)


def test_a_top_up_is_completed_with_its_creation(world: World, colour: str) -> None:
    with world.gateway(colour) as gw:
        card = world.customer_with_card(gw)
        for _ in range(2):
            gw.withdrawals.create(top_up(card), account="cards")
        assert told(gw, "withdrawal load-1") == ["created", "completed"]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["open", "processing", "processing", "done", "processing"], ["created", "processing", "completed"]),
        (["processing", "failed"], ["created", "processing", "failed"]),
        (["cancelled"], ["created", "cancelled"]),
    ],
)
def test_a_payout_is_told_step_by_step(colour: str, statuses: list[str], expected: list[str]) -> None:
    request = WithdrawalRequest(
        reference="payout-77", amount=Money("0.001", "BTC@lightning"), to=LightningInvoice(invoice())
    )
    with toy(colour, list(statuses), "/withdrawals/") as gw:
        gw.withdrawals.create(request)
        for _ in range(len(statuses) + 2):
            gw.withdrawals.get("payout-77")
        assert told(gw, "withdrawal payout-77") == expected


def test_a_refused_payout_has_failed_and_one_that_never_left_is_no_news(colour: str) -> None:
    refusals = ["bad-request"]

    def refuses(seen: Seen) -> Answer:
        return wrong(refusals[0]) if seen.method == "POST" else answers(seen)

    request = WithdrawalRequest(
        reference="payout-77", amount=Money("1", "ETH"), to=CryptoAddress("0x52908400098527886E0F7030069857D2E4169EE7")
    )
    with Loopback(app=refuses) as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        refusals[0] = "bad-key"
        with pytest.raises(GatewayError):
            gw.withdrawals.create(request)
        assert told(gw, "withdrawal payout-77") == []
        refusals[0] = "bad-request"
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                gw.withdrawals.create(request)
        assert told(gw, "withdrawal payout-77") == ["failed"]


@pytest.mark.parametrize(
    ("outcome", "expected"), [("done", ["unconfirmed", "created", "completed"]), ("failed", ["unconfirmed", "failed"])]
)
def test_an_unknown_payout_is_told_and_so_is_what_became_of_it(
    world: World, colour: str, outcome: Any, expected: list[str]
) -> None:
    request = payout()
    world.lose_answer()
    with world.gateway(colour) as gw:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                gw.withdrawals.create(request, account="shop")
        assert told(gw, "withdrawal payout-77") == ["unconfirmed"]
        gw.journal.settle("payout-77", outcome=outcome, reason="seen", by="ops")
        assert told(gw, "withdrawal payout-77") == expected


# Trades


def half_of_it(world: World) -> None:
    """The book takes 0.5 of the 0.9 that are offered."""
    world.emirex.set_book("BTCUSDC", buy=[(Decimal(59000), Decimal("0.5"))], sell=[(Decimal(61000), Decimal(1))])
    world.emirex.credit("BTC", Decimal(1))


def test_a_trade_is_placed_open_and_filled(world: World, colour: str) -> None:
    half_of_it(world)
    with world.gateway(colour) as gw:
        for _ in range(2):
            made = gw.trades.create(TRADE, account="treasury")
        assert told(gw, "trade t-1") == ["created"]
        for _ in range(2):
            gw.trades.get("t-1")
        assert told(gw, "trade t-1") == ["created", "open"]
        assert last(gw).data["filled"] == "0.5"
        world.emirex.fill(made.provider_id)
        for _ in range(2):
            gw.trades.get("t-1")
        assert told(gw, "trade t-1") == ["created", "open", "filled"]


def test_a_trade_is_cancelled_once(world: World, colour: str) -> None:
    half_of_it(world)
    with world.gateway(colour) as gw:
        gw.trades.create(TRADE, account="treasury")
        for _ in range(2):
            gw.trades.cancel("t-1")
            gw.trades.get("t-1")
        assert told(gw, "trade t-1") == ["created", "cancelled"]


def test_a_refused_trade_has_failed(world: World, colour: str) -> None:
    world.server.faults("emirex").add(faults.Status(status=400, method="POST"))
    with world.gateway(colour) as gw:
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                gw.trades.create(TRADE, account="treasury")
        assert told(gw, "trade t-1") == ["failed"]
        assert last(gw).data["status"] == "failed"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("done", ["unconfirmed", "created", "open"]), ("failed", ["unconfirmed", "failed"])],
)
def test_an_unknown_trade_is_told_and_so_is_what_became_of_it(
    world: World, colour: str, outcome: Any, expected: list[str]
) -> None:
    half_of_it(world)
    world.lose_answer("emirex")
    with world.gateway(colour) as gw:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                gw.trades.create(TRADE, account="treasury")
        assert told(gw, "trade t-1") == ["unconfirmed"]
        (made,) = world.emirex.orders()
        number = made.id if outcome == "done" else None
        gw.journal.settle("t-1", outcome=outcome, reason="seen", by="ops", provider_id=number)
        if outcome == "done":
            gw.trades.get("t-1")
        assert told(gw, "trade t-1") == expected


def test_no_type_is_forgotten() -> None:
    """What stands in these sequences, and what the tests of callbacks and of keys produce, is all that there is."""
    text = Path(__file__).read_text(encoding="utf-8")
    for kind in EVENT_TYPES:
        if kind not in ("callback.suspicious", "key.expiring"):
            assert f'"{kind.partition(".")[2]}"' in text, kind
