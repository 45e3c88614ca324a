"""The journal: never a second sending, and every end is recorded or known to be unknown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.errors import (
    Conflict,
    GatewayError,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    Outcome,
    OutcomeUnknown,
    StoreError,
)
from gateway.store import journal
from gateway.store.database import Database
from gateway.store.journal import Begun, JournalEntry, JournalState
from gateway.store.owner import this_process
from store.samples import LATER, LEASE, LIVE, NOW, SANDBOX, all_say, begin, children

OVER = NOW + LEASE  # the lease ends here


@pytest.fixture
def us() -> str:
    return str(this_process())


@pytest.fixture
def dead() -> str:
    """A process that ran here before and is gone: ours, but started earlier."""
    return str(replace(this_process(), started="1"))


@pytest.fixture
def stranger() -> str:
    """Somebody on another machine, of whom nothing can be known."""
    return str(replace(this_process(), host="elsewhere"))


def sent(database: Database, owner: str, **fields: Any) -> JournalEntry:
    entry, begun = database.transaction(begin(owner, **fields))
    assert begun is Begun.FRESH
    database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW, owner=owner))
    return the(database, entry.id)


def unknown(database: Database, owner: str, **fields: Any) -> JournalEntry:
    entry = sent(database, owner, **fields)
    return ended(database, entry, JournalState.UNKNOWN, error=OutcomeUnknown("no answer").to_dict())


def ended(database: Database, entry: JournalEntry, state: JournalState, **fields: Any) -> JournalEntry:
    return database.transaction(lambda connection: journal.finish(connection, entry.id, state, now=LATER, **fields))


def the(database: Database, entry_id: int) -> JournalEntry:
    (found,) = [
        entry
        for entry in database.transaction(lambda connection: journal.list_entries(connection))
        if entry.id == entry_id
    ]
    return found


def again(database: Database, owner: str, **fields: Any) -> tuple[JournalEntry, Begun]:
    return database.transaction(begin(owner, **fields))


class TestBegin:
    def test_a_new_write_is_ours(self, database: Database, us: str) -> None:
        entry, begun = again(database, us)
        assert begun is Begun.FRESH
        assert entry == the(database, entry.id)
        assert (entry.state, entry.owner, entry.lease_until) == (JournalState.INTENDED, us, OVER)
        assert (entry.account, entry.environment, entry.request) == ("shop", LIVE, {"amount": "0.01"})
        assert (entry.created_at, entry.sent_at, entry.ended_at) == (NOW, None, None)

    def test_another_operation_or_scope_is_another_write(self, database: Database, us: str) -> None:
        for fields in ({}, {"scope": "2"}, {"operation": "orders.create"}, {"reference": "payout-2"}):
            assert again(database, us, **fields)[1] is Begun.FRESH

    def test_a_twin_waits(self, database: Database, us: str) -> None:
        first, _ = again(database, us)
        assert again(database, str(this_process()), account="backup") == (first, Begun.BUSY)

    def test_the_same_claim_is_the_same_intent(self, database: Database, us: str) -> None:
        """As after a commit of which nobody could say whether it had come about."""
        first, _ = again(database, us)
        entry, begun = again(database, us)
        assert (entry.id, entry.owner, begun) == (first.id, us, Begun.FRESH)

    def test_a_twin_waits_while_it_is_being_sent(self, database: Database, us: str) -> None:
        entry = sent(database, us)
        assert again(database, str(this_process())) == (entry, Begun.BUSY)

    @pytest.mark.parametrize("state", [JournalState.DONE, JournalState.REJECTED])
    def test_what_has_ended_is_recorded(self, database: Database, us: str, state: JournalState) -> None:
        entry = ended(database, sent(database, us), state, result={"a": 1}, error={"b": 2}, provider_id="77")
        found, begun = again(database, us, now=LATER)
        assert (found, begun) == (entry, Begun.RECORDED)
        assert (found.state, found.result, found.error, found.provider_id) == (state, {"a": 1}, {"b": 2}, "77")
        assert found.ended_at == LATER

    def test_what_is_unknown_stays_so(self, database: Database, us: str) -> None:
        entry = unknown(database, us)
        assert again(database, us, now=LATER + timedelta(days=900)) == (entry, Begun.UNKNOWN)
        assert entry.ended_at is None

    @pytest.mark.parametrize("fields", [{"request": {"amount": "0.02"}}, {"environment": SANDBOX}])
    @pytest.mark.parametrize("state", [None, JournalState.SENT, JournalState.DONE, JournalState.UNKNOWN])
    def test_the_reference_is_for_one_request(
        self, database: Database, us: str, fields: dict[str, Any], state: JournalState | None
    ) -> None:
        entry, _ = again(database, us)
        if state is not None:
            database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW))
        if state not in (None, JournalState.SENT):
            ended(database, entry, state)
        before = the(database, entry.id)
        with pytest.raises(IdempotencyConflict, match="payout-1 was used at shop on 2025-03-01 12:00:00 UTC") as caught:
            again(database, us, **fields)
        assert "nothing was sent" in str(caught.value)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert the(database, entry.id) == before

    def test_which_of_the_two_is_said(self, database: Database, us: str) -> None:
        again(database, us)
        with pytest.raises(IdempotencyConflict, match="for another request"):
            again(database, us, request={"amount": "9"})
        with pytest.raises(IdempotencyConflict, match="in the live environment, and this call is sandbox"):
            again(database, us, environment=SANDBOX)

    def test_an_intent_of_a_dead_process_is_taken_over(self, database: Database, us: str, dead: str) -> None:
        first, _ = again(database, dead)
        entry, begun = again(database, us, account="backup", now=NOW + timedelta(seconds=1))
        assert begun is Begun.FRESH
        assert (entry.id, entry.owner, entry.account) == (first.id, us, "backup")
        assert entry.created_at == NOW
        assert entry.lease_until == OVER + timedelta(seconds=1)

    def test_an_intent_of_a_stranger_is_taken_over_after_its_lease(
        self, database: Database, us: str, stranger: str
    ) -> None:
        again(database, stranger)
        assert again(database, us, now=OVER - timedelta(microseconds=1))[1] is Begun.BUSY
        assert again(database, us, now=OVER)[1] is Begun.FRESH

    def test_an_intent_that_hangs_is_taken_over_after_its_lease_and_its_owner_cannot_send(
        self, database: Database, us: str
    ) -> None:
        slow, _ = again(database, us)
        entry, begun = again(database, str(this_process()), now=OVER)
        assert begun is Begun.FRESH
        with pytest.raises(StoreError, match="is intended and somebody else's; it could not become sent"):
            database.transaction(lambda connection: journal.mark_sent(connection, slow.id, OVER, owner=us))
        assert the(database, slow.id) == entry

    @pytest.mark.parametrize("seconds", [0, 3600])
    def test_what_a_dead_process_had_sent_becomes_unknown(
        self, database: Database, dead: str, us: str, seconds: int
    ) -> None:
        sent(database, dead)
        entry, begun = again(database, us, now=NOW + timedelta(seconds=seconds))
        assert (begun, entry.state) == (Begun.UNKNOWN, JournalState.UNKNOWN)
        assert entry == the(database, entry.id)
        assert entry.error is not None
        error = GatewayError.from_dict(entry.error)
        assert isinstance(error, OutcomeUnknown)
        assert "journal settle payout-1" in str(error)
        assert again(database, us)[1] is Begun.UNKNOWN

    def test_what_a_stranger_had_sent_becomes_unknown_after_its_lease(
        self, database: Database, us: str, stranger: str
    ) -> None:
        sent(database, stranger)
        assert again(database, us, now=OVER - timedelta(microseconds=1))[1] is Begun.BUSY
        assert again(database, us, now=OVER)[1] is Begun.UNKNOWN

    def test_what_hangs_in_a_live_process_becomes_unknown_after_its_lease(self, database: Database, us: str) -> None:
        sent(database, us)
        assert again(database, us, now=OVER)[1] is Begun.UNKNOWN

    def test_a_request_that_cannot_be_kept_changes_nothing(self, database: Database, us: str) -> None:
        with pytest.raises(InvalidRequest, match="float"):
            again(database, us, request={"amount": 0.1})
        assert database.transaction(journal.list_entries) == []


class TestProcesses:
    def test_one_of_many_begins(self, database: Database, url: str) -> None:
        with children(4, "begins", url) as started:
            assert sorted(all_say(started)) == ["busy", "busy", "busy", "fresh"]

    def test_an_intent_survives_its_killed_owner_and_is_sent_by_the_next(
        self, database: Database, url: str, us: str
    ) -> None:
        with children(1, "begins", url) as (child,):
            assert all_say([child]) == ["fresh"]
            assert again(database, us)[1] is Begun.BUSY
            child.kill()
            child.end()
            assert again(database, us)[1] is Begun.FRESH

    def test_what_a_killed_process_had_sent_is_unknown_and_never_sent_again(
        self, database: Database, url: str, us: str
    ) -> None:
        with children(1, "sends", url) as (child,):
            assert all_say([child]) == ["fresh"]
            assert again(database, us)[1] is Begun.BUSY
            assert database.transaction(lambda connection: journal.recover(connection, NOW)) == []
            child.kill()
            child.end()
            (lost,) = database.transaction(lambda connection: journal.recover(connection, NOW))
            assert lost.state is JournalState.UNKNOWN
            assert again(database, us) == (lost, Begun.UNKNOWN)


class TestMoves:
    def test_sent(self, database: Database, us: str) -> None:
        entry = sent(database, us)
        assert (entry.state, entry.sent_at) == (JournalState.SENT, NOW)

    @pytest.mark.parametrize("state", list(JournalState))
    def test_only_an_intent_is_sent(self, database: Database, us: str, state: JournalState) -> None:
        entry, _ = again(database, us)
        if state is not JournalState.INTENDED:
            database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW))
        if state not in (JournalState.INTENDED, JournalState.SENT):
            ended(database, entry, state)
        before = the(database, entry.id)

        def mark(connection: Connection) -> None:
            journal.mark_sent(connection, entry.id, LATER, owner=us)

        if state is JournalState.INTENDED:
            database.transaction(mark)
            return
        with pytest.raises(StoreError, match=f"withdrawals.create payout-1 is {state}; it could not become sent"):
            database.transaction(mark)
        assert the(database, entry.id) == before

    def test_an_end_needs_a_sending(self, database: Database, us: str) -> None:
        entry, _ = again(database, us)
        with pytest.raises(StoreError, match="is intended; it could not become done"):
            ended(database, entry, JournalState.DONE)

    def test_an_end_is_not_overwritten(self, database: Database, us: str) -> None:
        entry = ended(database, sent(database, us), JournalState.REJECTED, error={"message": "no"})
        for owner in (None, us):
            with pytest.raises(StoreError, match="is rejected; it could not become done"):
                ended(database, entry, JournalState.DONE, owner=owner)
        assert the(database, entry.id) == entry

    @pytest.mark.parametrize("state", [JournalState.INTENDED, JournalState.SENT])
    def test_an_end_is_an_end(self, database: Database, us: str, state: JournalState) -> None:
        entry = sent(database, us)
        with pytest.raises(InvalidRequest, match=f"does not end as {state}"):
            ended(database, entry, state)

    def test_an_entry_that_is_not_there(self, database: Database) -> None:
        with pytest.raises(StoreError, match="there is no journal entry 9"):
            database.transaction(lambda connection: journal.mark_sent(connection, 9, NOW))

    def test_only_its_owner_ends_it(self, database: Database, us: str) -> None:
        entry = sent(database, us)
        with pytest.raises(StoreError, match="is sent and somebody else's"):
            ended(database, entry, JournalState.DONE, owner="somebody")

    def test_the_late_answer_of_the_sender_ends_what_was_given_up(self, database: Database, us: str) -> None:
        entry = sent(database, us)
        assert again(database, us, now=OVER)[1] is Begun.UNKNOWN
        for owner in (None, "somebody"):
            with pytest.raises(StoreError, match="is unknown"):
                ended(database, entry, JournalState.DONE, owner=owner)
        found = ended(database, entry, JournalState.DONE, owner=us, result={"provider_id": "77"})
        assert (found.state, found.error, found.result) == (JournalState.DONE, None, {"provider_id": "77"})

    def test_the_late_answer_does_not_undo_a_settlement(self, database: Database, us: str) -> None:
        entry = unknown(database, us)
        settled = settle(database, outcome="failed")
        with pytest.raises(StoreError, match="is rejected"):
            ended(database, entry, JournalState.DONE, owner=us)
        assert the(database, entry.id) == settled

    def test_a_result_with_a_float_is_kept_all_the_same(self, database: Database, us: str) -> None:
        entry = ended(database, sent(database, us), JournalState.DONE, result={"raw": {"rate": 0.25}})
        assert entry.result == {"raw": {"rate": "0.25"}}

    @pytest.mark.parametrize("is_sent", [False, True])
    def test_reopened_it_may_be_sent_by_anybody_at_once(self, database: Database, us: str, is_sent: bool) -> None:
        entry, _ = again(database, us)
        if is_sent:
            database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW, owner=us))
        database.transaction(
            lambda connection: journal.reopen(connection, entry.id, error={"message": "limit"}, owner=us, now=LATER)
        )
        found = the(database, entry.id)
        assert (found.state, found.owner, found.lease_until, found.sent_at) == (JournalState.INTENDED, None, None, None)
        assert found.error == {"message": "limit"}
        other = str(this_process())
        assert again(database, other)[1] is Begun.FRESH
        with pytest.raises(StoreError, match="somebody else's"):
            database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW, owner=us))

    @pytest.mark.parametrize("state", [JournalState.DONE, JournalState.REJECTED, JournalState.UNKNOWN])
    def test_what_has_ended_is_not_reopened(self, database: Database, us: str, state: JournalState) -> None:
        entry = ended(database, sent(database, us), state)
        with pytest.raises(StoreError, match=f"is {state}; it could not become intended"):
            database.transaction(
                lambda connection: journal.reopen(connection, entry.id, error=None, owner=us, now=LATER)
            )


class TestRecover:
    def test_only_what_was_sent_by_the_dead(self, database: Database, us: str, dead: str, stranger: str) -> None:
        again(database, dead, reference="intended-by-the-dead")
        sent(database, us, reference="ours")
        sent(database, stranger, reference="strangers")
        gone = sent(database, dead, reference="sent-by-the-dead")
        ended(database, sent(database, dead, reference="done-by-the-dead"), JournalState.DONE)
        found = database.transaction(lambda connection: journal.recover(connection, NOW))
        assert [entry.id for entry in found] == [gone.id]
        assert the(database, gone.id) == found[0]
        assert database.transaction(lambda connection: journal.recover(connection, NOW)) == []

    def test_the_lease_decides_where_nothing_is_known(self, database: Database, us: str, stranger: str) -> None:
        sent(database, us, reference="ours")
        sent(database, stranger, reference="strangers")
        sent(database, "no owner's text", reference="nobodys")
        found = database.transaction(lambda connection: journal.recover(connection, OVER))
        assert [entry.reference for entry in found] == ["strangers", "nobodys"]


def settle(database: Database, **fields: Any) -> JournalEntry:
    values = {"reference": "payout-1", "outcome": "done", "reason": "seen in the panel", "by": "ann", "now": LATER}
    return database.transaction(lambda connection: journal.settle(connection, **{**values, **fields}))


class TestSettle:
    def test_as_done(self, database: Database, us: str) -> None:
        unknown(database, us)
        entry = settle(database, result={"status": "completed"}, provider_id="77")
        assert (entry.state, entry.result, entry.error) == (JournalState.DONE, {"status": "completed"}, None)
        assert (entry.settled_by, entry.settled_reason, entry.ended_at) == ("ann", "seen in the panel", LATER)
        assert entry.provider_id == "77"
        assert again(database, us) == (entry, Begun.RECORDED)

    def test_as_failed(self, database: Database, us: str) -> None:
        unknown(database, us)
        entry = settle(database, outcome="failed")
        assert (entry.state, entry.settled_by, entry.provider_id) == (JournalState.REJECTED, "ann", None)
        assert entry.error is not None
        error = GatewayError.from_dict(entry.error)
        assert "settled by hand as failed by ann: seen in the panel" in str(error)
        assert error.outcome is Outcome.REJECTED
        assert again(database, us) == (entry, Begun.RECORDED)

    def test_a_sender_that_died_need_not_be_found_first(self, database: Database, dead: str) -> None:
        sent(database, dead)
        assert settle(database).state is JournalState.DONE

    def test_nothing_of_that_name(self, database: Database, us: str) -> None:
        unknown(database, us)
        for fields in ({"reference": "payout-9"}, {"operation": "orders.create"}, {"scope": "2"}):
            with pytest.raises(NotFound, match="the journal has no entry"):
                settle(database, **fields)

    @pytest.mark.parametrize("state", [None, JournalState.SENT, JournalState.DONE, JournalState.REJECTED])
    def test_only_what_is_unknown(self, database: Database, us: str, state: JournalState | None) -> None:
        entry, _ = again(database, us)
        if state is not None:
            database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW))
        if state not in (None, JournalState.SENT):
            ended(database, entry, state)
        before = the(database, entry.id)
        with pytest.raises(Conflict, match=f"withdrawals.create payout-1 is {state or 'intended'}"):
            settle(database, now=NOW)
        assert the(database, entry.id) == before

    def test_settling_twice(self, database: Database, us: str) -> None:
        unknown(database, us)
        entry = settle(database)
        with pytest.raises(Conflict, match="is done"):
            settle(database, outcome="failed")
        assert the(database, entry.id) == entry

    def test_several_are_named(self, database: Database, us: str) -> None:
        unknown(database, us, scope="1")
        unknown(database, us, scope="2")
        unknown(database, us, operation="orders.create")
        with pytest.raises(
            InvalidRequest,
            match=r"withdrawals.create payout-1 1, withdrawals.create payout-1 2, orders.create payout-1",
        ):
            settle(database)
        assert settle(database, operation="orders.create").operation == "orders.create"
        assert settle(database, scope="2").scope == "2"

    def test_the_only_unknown_one_of_several_is_meant(self, database: Database, us: str) -> None:
        ended(database, sent(database, us, scope="1"), JournalState.DONE)
        unknown(database, us, scope="2")
        assert settle(database).scope == "2"

    @pytest.mark.parametrize("fields", [{"reason": " "}, {"by": ""}, {"outcome": "maybe"}])
    def test_who_why_and_what_are_said(self, database: Database, us: str, fields: dict[str, Any]) -> None:
        entry = unknown(database, us)
        with pytest.raises(InvalidRequest):
            settle(database, **fields)
        assert the(database, entry.id) == entry


class TestUnderWay:
    @pytest.mark.parametrize("is_sent", [False, True])
    def test_as_long_as_somebody_holds_it(self, database: Database, us: str, is_sent: bool) -> None:
        entry, _ = again(database, us, scope="1")
        if is_sent:
            database.transaction(lambda connection: journal.mark_sent(connection, entry.id, NOW))

        def held(scope: str = "1", now: Any = NOW) -> bool:
            return database.transaction(
                lambda connection: journal.is_under_way(connection, "withdrawals.create", "payout-1", scope, now)
            )

        assert held()
        assert not held(scope="2")
        assert not held(now=OVER)

    def test_not_when_its_holder_is_gone_or_it_has_ended(self, database: Database, us: str, dead: str) -> None:
        sent(database, dead, scope="1")
        ended(database, sent(database, us, scope="2"), JournalState.DONE)
        for scope in ("1", "2"):
            assert not database.transaction(
                lambda connection, of=scope: journal.is_under_way(  # type: ignore[misc]
                    connection, "withdrawals.create", "payout-1", of, NOW
                )
            )


class TestReading:
    @pytest.fixture(autouse=True)
    def _entries(self, database: Database, us: str) -> None:
        again(database, us, reference="one")
        sent(database, us, reference="two", account="backup")
        unknown(database, us, reference="two", operation="orders.create", scope="1")

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, ["orders.create two 1", "withdrawals.create two", "withdrawals.create one"]),
            ({"limit": 2}, ["orders.create two 1", "withdrawals.create two"]),
            ({"before_id": 2}, ["withdrawals.create one"]),
            ({"account": "backup"}, ["withdrawals.create two"]),
            ({"operation": "orders.create"}, ["orders.create two 1"]),
            (
                {"states": [JournalState.SENT, JournalState.INTENDED]},
                ["withdrawals.create two", "withdrawals.create one"],
            ),
            ({"states": []}, []),
        ],
    )
    def test_lists_newest_first(self, database: Database, fields: dict[str, Any], expected: list[str]) -> None:
        found = database.transaction(lambda connection: journal.list_entries(connection, **fields))
        assert [entry.name for entry in found] == expected

    def test_no_empty_list_is_asked_for(self, database: Database) -> None:
        with pytest.raises(InvalidRequest):
            database.transaction(lambda connection: journal.list_entries(connection, limit=0))

    def test_finds_by_reference_oldest_first(self, database: Database) -> None:
        found = database.transaction(lambda connection: journal.find(connection, "two"))
        assert [entry.operation for entry in found] == ["withdrawals.create", "orders.create"]
        found = database.transaction(lambda connection: journal.find(connection, "two", "orders.create"))
        assert [entry.scope for entry in found] == ["1"]

    def test_an_entry_as_json(self, database: Database) -> None:
        (entry,) = database.transaction(lambda connection: journal.find(connection, "two", "orders.create"))
        shown = json.loads(json.dumps(entry.to_dict()))
        assert shown["created_at"] == "2025-03-01T12:00:00.123456+00:00"
        assert (shown["state"], shown["environment"], shown["request"]) == ("unknown", "live", {"amount": "0.01"})
        assert set(shown) == set(JournalEntry.__dataclass_fields__)

    def test_requests_are_compared_without_beginning(self, database: Database) -> None:
        (entry,) = database.transaction(lambda connection: journal.find(connection, "one"))
        journal.require_same(entry, journal.fingerprint({"amount": "0.01"}))
        with pytest.raises(IdempotencyConflict):
            journal.require_same(entry, journal.fingerprint({"amount": "0.02"}))
