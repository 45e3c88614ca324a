"""Payouts and their brakes: no limit is passed, also not together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.contracts.settings import Limits
from gateway.errors import Conflict, LimitExceeded, NotFound, Outcome
from gateway.models import (
    CardTopUp,
    Fee,
    LightningInvoice,
    ProviderWithdrawal,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalStatus,
)
from gateway.money import Money
from gateway.store import freezes, withdrawals
from gateway.store.database import Database
from store.samples import LATER, LIVE, NOW, SANDBOX, all_say, children, make_payout, payout

DAY = timedelta(hours=24)
TICK = timedelta(microseconds=1)


def brakes(database: Database, amount: str = "0.01", asset: str = "BTC@bitcoin", **fields: Any) -> None:
    limits = Limits(
        **{name: fields.pop(name) for name in ("per_withdrawal", "per_day", "destinations", "frozen") if name in fields}
    )
    values = {
        "account": "shop",
        "destination": "bc1qexample",
        "now": NOW,
        "limits": limits,
        "amount": Money(amount, asset),
    }
    database.transaction(lambda connection: withdrawals.check_brakes(connection, **{**values, **fields}))


def save(database: Database, reference: str, status: WithdrawalStatus, **fields: Any) -> None:
    values: dict[str, Any] = {"status": status, "result": None, "now": LATER, **fields}
    database.transaction(lambda connection: withdrawals.save_withdrawal(connection, reference, **values))


def load(database: Database, reference: str = "payout-1") -> Withdrawal:
    found = database.transaction(lambda connection: withdrawals.load_withdrawal(connection, reference))
    assert found is not None
    return found


def paid(database: Database, *requests: WithdrawalRequest, **fields: Any) -> None:
    for request in requests:
        database.transaction(lambda connection, r=request: make_payout(connection, r, **fields))  # type: ignore[misc]


class TestBrakes:
    def test_without_limits_everything_goes(self, database: Database) -> None:
        brakes(database, "1000000")

    def test_frozen_in_the_settings(self, database: Database) -> None:
        with pytest.raises(
            LimitExceeded, match=r"frozen in the settings; nothing was sent.*accounts\.shop\.limits\.frozen"
        ):
            brakes(database, frozen=True)

    def test_frozen_from_here(self, database: Database) -> None:
        database.transaction(lambda c: freezes.freeze(c, "shop", by="ann", reason="key leaked", now=NOW))
        with pytest.raises(
            LimitExceeded, match=r"2025-03-01 12:00 UTC by ann: key leaked.*`gateway freeze shop"
        ) as caught:
            brakes(database)
        assert (caught.value.account, caught.value.outcome) == ("shop", Outcome.NOT_SENT)
        brakes(database, account="backup")
        database.transaction(lambda c: freezes.unfreeze(c, "shop", now=LATER))
        brakes(database)

    def test_only_the_destinations_that_are_listed(self, database: Database) -> None:
        brakes(database, destination="a", destinations=["a", "b"])
        for destination in ("c", "A", ""):
            with pytest.raises(LimitExceeded, match="destinations"):
                brakes(database, destination=destination, destinations=["a", "b"])
        with pytest.raises(LimitExceeded, match="destinations"):
            brakes(database, destination="a", destinations=[])

    @pytest.mark.parametrize("asset", ["BTC@bitcoin", "BTC@lightning", "BTC"])
    def test_one_payout_by_symbol_over_all_networks(self, database: Database, asset: str) -> None:
        brakes(database, "0.05", asset, per_withdrawal="0.05 BTC")
        with pytest.raises(LimitExceeded, match=r"0.05000001 .* is more than one payout may be, 0.05 BTC"):
            brakes(database, "0.05000001", asset, per_withdrawal="0.05 BTC")

    def test_each_symbol_has_its_own(self, database: Database) -> None:
        limits = ["0.05 BTC@bitcoin", "100 USDT"]
        brakes(database, "100", "USDT@tron", per_withdrawal=limits)
        brakes(database, "7", "ETH@ethereum", per_withdrawal=limits, per_day=limits)
        for amount, asset in (("100.01", "USDT@tron"), ("0.06", "BTC@lightning")):
            with pytest.raises(LimitExceeded):
                brakes(database, amount, asset, per_withdrawal=limits)
            with pytest.raises(LimitExceeded):
                brakes(database, amount, asset, per_day=limits)

    def test_a_day_adds_up_over_networks(self, database: Database) -> None:
        paid(database, payout("a", "0.1"), payout("b", "0.05", "BTC@lightning"), payout("c", "900", "USDT@tron"))
        brakes(database, "0.05", per_day="0.2 BTC")
        with pytest.raises(
            LimitExceeded, match=r"with 0.15 BTC in the last 24 hours, 0.05000001 BTC@bitcoin makes 0.20000001 BTC"
        ):
            brakes(database, "0.05000001", per_day="0.2 BTC")

    def test_it_adds_exactly(self, database: Database) -> None:
        """As floats, 0.1 + 0.2 is more than 0.3; and eighteen decimals are more than a float has."""
        paid(database, payout("a", "0.1", "ETH@ethereum"))
        brakes(database, "0.2", "ETH@ethereum", per_day="0.3 ETH")
        with pytest.raises(LimitExceeded):
            brakes(database, "0.200000000000000001", "ETH@ethereum", per_day="0.3 ETH")

    def test_a_day_is_the_24_hours_before(self, database: Database) -> None:
        paid(database, payout("a", "1"))
        brakes(database, "1", per_day="1 BTC", now=NOW + DAY)
        with pytest.raises(LimitExceeded):
            brakes(database, "1", per_day="1 BTC", now=NOW + DAY - TICK)
        # A clock that went back makes no room.
        with pytest.raises(LimitExceeded):
            brakes(database, "1", per_day="1 BTC", now=NOW - DAY)

    @pytest.mark.parametrize("status", list(WithdrawalStatus))
    def test_what_did_not_leave_does_not_count(self, database: Database, status: WithdrawalStatus) -> None:
        paid(database, payout("a", "1"))
        save(database, "a", status)
        if status in (WithdrawalStatus.FAILED, WithdrawalStatus.CANCELLED):
            brakes(database, "1", per_day="1 BTC")
            return
        with pytest.raises(LimitExceeded):
            brakes(database, "1", per_day="1 BTC")

    def test_another_accounts_payouts_do_not_count(self, database: Database) -> None:
        paid(database, payout("a", "1"), account="backup")
        brakes(database, "1", per_day="1 BTC")

    def test_the_other_environment_counts_unless_it_is_said(self, database: Database) -> None:
        paid(database, payout("a", "1"), environment=SANDBOX)
        brakes(database, "1", per_day="1 BTC", environment=LIVE)
        with pytest.raises(LimitExceeded):
            brakes(database, "1", per_day="1 BTC")
        with pytest.raises(LimitExceeded):
            brakes(database, "1", per_day="1 BTC", environment=SANDBOX)

    def test_a_payout_does_not_count_against_itself(self, database: Database) -> None:
        paid(database, payout("a", "1"))
        brakes(database, "1", per_day="1 BTC", reference="a")
        with pytest.raises(LimitExceeded):
            brakes(database, "1", per_day="1 BTC", reference="b")

    def test_processes_do_not_slip_past_together(self, database: Database, url: str) -> None:
        names = iter("abcd")
        with children(1, "pays", url, next(names)) as a, children(1, "pays", url, next(names)) as b:
            assert sum(all_say([*a, *b])) == 5
        page = database.transaction(lambda connection: withdrawals.list_withdrawals(connection, size=99, cursor=None))
        assert sum((item.amount for item in page.items), start=Money(0, "BTC@bitcoin")) == Money(5, "BTC@bitcoin")


class TestRows:
    @pytest.mark.parametrize(
        ("amount", "to"),
        [
            (Money("0.00000000001", "BTC@lightning"), LightningInvoice("lnbc1")),
            (Money("10.00", "USD"), CardTopUp(customer="c-1", card="card-1")),
        ],
    )
    def test_what_was_asked_comes_back(self, database: Database, amount: Money, to: Any) -> None:
        paid(database, WithdrawalRequest(reference="payout-1", amount=amount, to=to))
        found = load(database)
        assert found == Withdrawal(
            reference="payout-1",
            account="shop",
            provider="aurpay",
            environment=LIVE,
            status=WithdrawalStatus.PENDING,
            amount=amount,
            to=to,
            created_at=NOW,
            updated_at=NOW,
        )
        assert str(found.amount) == str(amount)

    def test_what_became_of_it(self, database: Database) -> None:
        paid(database, payout())
        result = ProviderWithdrawal(
            provider_id="w-7",
            status=WithdrawalStatus.PROCESSING,
            provider_status="SENDING",
            debited=Money("0.0101", "BTC@bitcoin"),
            fees=(Fee(name="network", amount=Money("0.0001", "BTC@bitcoin")),),
            warnings=("slow",),
            raw={"secret": "hush", "id": "w-7"},
        )
        save(database, "payout-1", WithdrawalStatus.PROCESSING, result=result)
        save(database, "payout-1", WithdrawalStatus.COMPLETED)
        found = load(database)
        assert (found.status, found.provider_status) == (WithdrawalStatus.COMPLETED, "SENDING")
        assert (found.provider_id, found.debited, found.fees) == ("w-7", result.debited, result.fees)
        assert (found.warnings, dict(found.raw)) == (("slow",), {"secret": "•••", "id": "w-7"})
        assert (found.created_at, found.updated_at) == (NOW, LATER)

    def test_a_number_that_a_person_found(self, database: Database) -> None:
        paid(database, payout())
        save(database, "payout-1", WithdrawalStatus.COMPLETED, provider_id="w-8")
        assert load(database).provider_id == "w-8"

    def test_what_is_not_there(self, database: Database) -> None:
        assert database.transaction(lambda connection: withdrawals.load_withdrawal(connection, "payout-1")) is None
        with pytest.raises(NotFound, match="there is no withdrawal payout-1"):
            save(database, "payout-1", WithdrawalStatus.COMPLETED)

    def test_one_that_never_left_is_taken_up_again_and_counts_from_then(self, database: Database) -> None:
        paid(database, payout("a", "1"))
        paid(database, payout("a", "1"), account="backup", now=NOW + DAY)
        assert (load(database, "a").account, load(database, "a").created_at) == ("backup", NOW)
        brakes(database, "1", per_day="1 BTC")
        with pytest.raises(LimitExceeded):
            brakes(database, "1", per_day="1 BTC", account="backup", now=NOW + DAY)

    @pytest.mark.parametrize(
        "status", [status for status in WithdrawalStatus if status is not WithdrawalStatus.PENDING]
    )
    def test_one_that_may_have_left_is_neither_taken_up_nor_forgotten(
        self, database: Database, status: WithdrawalStatus
    ) -> None:
        paid(database, payout())
        save(database, "payout-1", status)
        before = load(database)
        with pytest.raises(Conflict, match=f"there is a withdrawal payout-1 already, {status}"):
            paid(database, payout())
        with pytest.raises(Conflict, match="it is not forgotten"):
            database.transaction(lambda connection: withdrawals.delete_withdrawal(connection, "payout-1"))
        assert load(database) == before

    def test_one_with_the_providers_number_has_left(self, database: Database) -> None:
        paid(database, payout())
        save(database, "payout-1", WithdrawalStatus.PENDING, provider_id="7")
        with pytest.raises(Conflict):
            paid(database, payout())

    def test_live_does_not_take_up_what_was_sandbox(self, database: Database) -> None:
        paid(database, payout(), environment=SANDBOX)
        with pytest.raises(Conflict, match=r"pending \(sandbox\)"):
            paid(database, payout())

    def test_one_that_never_left_can_be_forgotten(self, database: Database) -> None:
        paid(database, payout())
        for _ in range(2):
            database.transaction(lambda connection: withdrawals.delete_withdrawal(connection, "payout-1"))
        assert database.transaction(lambda connection: withdrawals.load_withdrawal(connection, "payout-1")) is None

    def test_lists(self, database: Database) -> None:
        paid(database, payout("a"), payout("b"))
        paid(database, payout("c"), account="backup")
        paid(database, payout("d"), environment=SANDBOX)
        save(database, "a", WithdrawalStatus.FAILED)

        def listed(**fields: Any) -> tuple[list[str], str | None]:
            values = {"size": 10, "cursor": None, **fields}
            page = database.transaction(lambda connection: withdrawals.list_withdrawals(connection, **values))
            return [item.reference for item in page.items], page.next

        assert listed() == (["d", "c", "b", "a"], None)
        assert listed(account="shop")[0] == ["d", "b", "a"]
        assert listed(environment=LIVE, account="shop")[0] == ["b", "a"]
        assert listed(status=WithdrawalStatus.FAILED)[0] == ["a"]
        first, following = listed(size=3)
        assert first == ["d", "c", "b"]
        assert listed(size=3, cursor=following) == (["a"], None)

    def test_a_refusal_undoes_what_the_transaction_wrote(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            make_payout(connection, payout("a", "1"))
            withdrawals.check_brakes(
                connection,
                account="shop",
                limits=Limits(per_day="1 BTC"),
                amount=Money("1", "BTC@bitcoin"),
                destination="x",
                now=NOW,
            )

        with pytest.raises(LimitExceeded):
            database.transaction(work)
        assert database.transaction(lambda connection: withdrawals.load_withdrawal(connection, "a")) is None
