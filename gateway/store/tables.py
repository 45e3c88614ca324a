"""The tables. `migrations/` makes them; a test holds both equal.

Closed vocabularies are checked by the database too. Every row of an account says whether it is live or sandbox.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from gateway.models.base import Environment
from gateway.models.cards import CardStatus
from gateway.models.orders import OrderStatus, Settlement
from gateway.models.refunds import RefundStatus
from gateway.models.trades import TradeStatus
from gateway.models.withdrawals import WithdrawalStatus
from gateway.store.types import ExactDecimal, JsonText, UtcDateTime

__all__ = [
    "CALLBACK_STATES",
    "DELIVERY_STATES",
    "JOURNAL_STATES",
    "KEY_ORIGINS",
    "KEY_STATES",
    "PROOFS",
    "VERDICTS",
    "WATCHED",
    "account_health",
    "api_keys",
    "attempts",
    "callbacks",
    "cards",
    "choices",
    "customers",
    "deliveries",
    "events",
    "facts",
    "freezes",
    "handlers",
    "journal",
    "key_audit",
    "metadata",
    "moves",
    "orders",
    "rate_budgets",
    "reconciliations",
    "refunds",
    "request_numbers",
    "restores",
    "rests",
    "schedules",
    "trades",
    "vault",
    "walks",
    "watches",
    "withdrawals",
]

JOURNAL_STATES = ("intended", "sent", "done", "rejected", "unknown")
CALLBACK_STATES = ("waiting", "taken", "processed", "rejected", "unmatched")
PROOFS = ("matches", "differs", "absent")
WATCHED = ("order", "withdrawal", "refund", "trade")
DELIVERY_STATES = ("waiting", "done", "dead")
KEY_STATES = ("active", "retiring", "revoked")
KEY_ORIGINS = ("issued", "imported")
VERDICTS = ("chosen", "skipped", "refused", "moved-on")

# SQLite numbers rows by itself only in a column of exactly this type.
_BIG = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _maybe(name: str) -> Column[str]:
    return Column(name, Text, nullable=True)


def _id() -> Column[int]:
    return Column("id", _BIG, primary_key=True)


def _where() -> tuple[Column[str], Column[str], Column[str]]:
    return _text("account"), _text("provider"), _text("environment")


def _times() -> tuple[Column[object], Column[object]]:
    return Column("created_at", UtcDateTime, nullable=False), Column("updated_at", UtcDateTime, nullable=False)


def _one_of(table: str, column: str, words: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"ck_{table}_{column}")


orders = Table(
    "orders",
    metadata,
    _id(),
    _text("reference"),
    _text("environment"),
    _text("settles_to"),
    # Of the leading attempt: derived, kept for listing.
    _text("status"),
    Column("request", JsonText, nullable=False),
    *_times(),
    UniqueConstraint("reference", name="uq_orders_reference"),
    _one_of("orders", "environment", Environment),
    _one_of("orders", "settles_to", Settlement),
    _one_of("orders", "status", OrderStatus),
    Index("ix_orders_status", "status", "id"),
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    _text("reference"),
    Column("number", Integer, nullable=False),
    _text("attempt_id"),
    *_where(),
    _text("status"),
    Column("exceptions", JsonText, nullable=False),
    _maybe("provider_id"),
    Column("snapshot", JsonText),
    Column("error", JsonText),
    *_times(),
    ForeignKeyConstraint(["reference"], ["orders.reference"], name="fk_attempts_order"),
    UniqueConstraint("reference", "number", name="uq_attempts_number"),
    UniqueConstraint("attempt_id", name="uq_attempts_attempt_id"),
    UniqueConstraint("account", "provider_id", name="uq_attempts_provider_id"),
    CheckConstraint("number >= 1", name="ck_attempts_number"),
    _one_of("attempts", "environment", Environment),
    _one_of("attempts", "status", OrderStatus),
    Index("ix_attempts_account", "account", "status"),
    # A number that a callback names is looked for at all accounts of the provider.
    Index("ix_attempts_provider_id", "provider_id"),
)

moves = Table(
    "moves",
    metadata,
    _id(),
    _text("reference"),
    Column("number", Integer, nullable=False),
    _text("from_status"),
    _text("to_status"),
    Column("accepted", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["reference", "number"], ["attempts.reference", "attempts.number"], name="fk_moves_attempt"),
    _one_of("moves", "from_status", OrderStatus),
    _one_of("moves", "to_status", OrderStatus),
    Index("ix_moves_attempt", "reference", "number"),
)

journal = Table(
    "journal",
    metadata,
    _id(),
    _text("operation"),
    _text("reference"),
    _text("scope"),
    *_where(),
    _text("fingerprint"),
    Column("request", JsonText, nullable=False),
    _text("state"),
    _maybe("owner"),
    Column("lease_until", UtcDateTime),
    Column("result", JsonText),
    Column("error", JsonText),
    _maybe("provider_id"),
    *_times(),
    Column("sent_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    _maybe("settled_by"),
    _maybe("settled_reason"),
    UniqueConstraint("operation", "reference", "scope", name="uq_journal_write"),
    _one_of("journal", "environment", Environment),
    _one_of("journal", "state", JOURNAL_STATES),
    Index("ix_journal_reference", "reference"),
    Index("ix_journal_state", "state", "id"),
    Index("ix_journal_account", "account", "id"),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    _id(),
    _text("reference"),
    *_where(),
    _text("status"),
    _text("symbol"),
    _text("asset"),
    Column("amount", ExactDecimal, nullable=False),
    Column("request", JsonText, nullable=False),
    _maybe("provider_id"),
    Column("snapshot", JsonText),
    # When the brakes last let it pass: what the limit of a day counts from.
    Column("begun_at", UtcDateTime, nullable=False),
    *_times(),
    UniqueConstraint("reference", name="uq_withdrawals_reference"),
    _one_of("withdrawals", "environment", Environment),
    _one_of("withdrawals", "status", WithdrawalStatus),
    Index("ix_withdrawals_day", "account", "symbol", "begun_at"),
    Index("ix_withdrawals_account", "account", "id"),
    Index("ix_withdrawals_status", "status", "id"),
)

refunds = Table(
    "refunds",
    metadata,
    _id(),
    _text("reference"),
    _text("order_reference"),
    Column("attempt", Integer, nullable=False),
    *_where(),
    _text("status"),
    Column("request", JsonText, nullable=False),
    _maybe("provider_id"),
    Column("snapshot", JsonText),
    *_times(),
    ForeignKeyConstraint(
        ["order_reference", "attempt"], ["attempts.reference", "attempts.number"], name="fk_refunds_attempt"
    ),
    UniqueConstraint("reference", name="uq_refunds_reference"),
    _one_of("refunds", "environment", Environment),
    _one_of("refunds", "status", RefundStatus),
    Index("ix_refunds_attempt", "order_reference", "attempt"),
    Index("ix_refunds_account", "account", "id"),
    Index("ix_refunds_status", "status", "id"),
)

customers = Table(
    "customers",
    metadata,
    _id(),
    _text("reference"),
    *_where(),
    _text("provider_id"),
    Column("snapshot", JsonText, nullable=False),
    *_times(),
    UniqueConstraint("account", "reference", name="uq_customers_reference"),
    UniqueConstraint("account", "provider_id", name="uq_customers_provider_id"),
    _one_of("customers", "environment", Environment),
)

# No number, no CVV, no code, and no answer of the provider in which one of them could stand.
cards = Table(
    "cards",
    metadata,
    _id(),
    _text("reference"),
    *_where(),
    _text("customer"),
    _text("provider_id"),
    _maybe("name"),
    _text("status"),
    *_times(),
    UniqueConstraint("reference", name="uq_cards_reference"),
    _one_of("cards", "environment", Environment),
    _one_of("cards", "status", CardStatus),
    Index("ix_cards_account", "account", "id"),
)

trades = Table(
    "trades",
    metadata,
    _id(),
    _text("reference"),
    *_where(),
    _text("status"),
    Column("request", JsonText, nullable=False),
    _maybe("provider_id"),
    Column("snapshot", JsonText),
    *_times(),
    UniqueConstraint("reference", name="uq_trades_reference"),
    _one_of("trades", "environment", Environment),
    _one_of("trades", "status", TradeStatus),
    Index("ix_trades_provider_id", "account", "provider_id"),
    Index("ix_trades_account", "account", "id"),
    Index("ix_trades_status", "status", "id"),
)

request_numbers = Table(
    "request_numbers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

# Kept when they are lifted, so that who stopped what, and why, can be read later.
freezes = Table(
    "freezes",
    metadata,
    _id(),
    _text("account"),
    _text("frozen_by"),
    _text("reason"),
    Column("frozen_at", UtcDateTime, nullable=False),
    _maybe("lifted_by"),
    Column("lifted_at", UtcDateTime),
    Index("ix_freezes_account", "account"),
)

# Append-only. The numbers grow in the order in which the events became visible, so a cursor never passes one.
events = Table(
    "events",
    metadata,
    _id(),
    _text("type"),
    _text("subject"),
    _text("reference"),
    _maybe("account"),
    _maybe("provider"),
    _maybe("environment"),
    Column("data", JsonText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    CheckConstraint("environment IN ('live', 'sandbox')", name="ck_events_environment"),
    Index("ix_events_subject", "subject", "id"),
)

# `cursor` is the last event that was handed out as deliveries.
handlers = Table(
    "handlers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("cursor", BigInteger, nullable=False),
    *_times(),
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    _text("handler"),
    Column("event_id", BigInteger, nullable=False),
    _text("subject"),
    _text("state"),
    Column("tries", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    _maybe("error"),
    Column("updated_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_deliveries_event"),
    UniqueConstraint("handler", "event_id", name="uq_deliveries_event"),
    _one_of("deliveries", "state", DELIVERY_STATES),
    Index("ix_deliveries_due", "handler", "state", "next_at"),
    Index("ix_deliveries_order", "handler", "subject", "state", "event_id"),
)

# The inbox. `attempt_id` is the token's: no row of `attempts` has to be there yet, or any more after a restore.
callbacks = Table(
    "callbacks",
    metadata,
    _id(),
    *_where(),
    _text("attempt_id"),
    _text("digest"),
    _text("method"),
    _text("url"),
    Column("headers", JsonText),
    Column("body", LargeBinary),
    _maybe("client"),
    _text("proof"),
    _maybe("proof_reason"),
    _maybe("provider_id"),
    _text("state"),
    Column("times", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    _maybe("error"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("processed_at", UtcDateTime),
    _one_of("callbacks", "environment", Environment),
    _one_of("callbacks", "proof", PROOFS),
    _one_of("callbacks", "state", CALLBACK_STATES),
    # Equal ones are one piece of news only while the first has not been taken.
    Index(
        "uq_callbacks_waiting",
        "attempt_id",
        "digest",
        "proof",
        unique=True,
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("ix_callbacks_due", "state", "next_at"),
    Index("ix_callbacks_attempt", "attempt_id", "id"),
)

# What is polled. `rank` 0 comes first: its outcome is unknown. `batch` is the merchant's customer, in whose list some
# providers show it. `since` is its last change, `looked_at` its last reading (at first, when it was made). Since
# `final_at` it is watched for late money only. `found` are likely matches of one whose number at the provider is not
# known, `absences` how often its list was read to the end without showing it.
watches = Table(
    "watches",
    metadata,
    _id(),
    _text("kind"),
    _text("reference"),
    Column("number", Integer, nullable=False),
    *_where(),
    _text("batch"),
    Column("rank", Integer, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("looked_at", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("final_at", UtcDateTime),
    Column("looks", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("absences", Integer, nullable=False),
    Column("found", JsonText),
    _maybe("error"),
    UniqueConstraint("kind", "reference", "number", name="uq_watches_thing"),
    _one_of("watches", "kind", WATCHED),
    _one_of("watches", "environment", Environment),
    Index("ix_watches_due", "account", "environment", "rank", "next_at"),
    Index("ix_watches_batch", "account", "environment", "batch", "rank", "next_at"),
    Index("ix_watches_looked", "looked_at"),
)

# How far the reading of a customer's list has come, where it could not be read in one go.
walks = Table(
    "walks",
    metadata,
    Column("account", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("batch", Text, primary_key=True),
    _text("cursor"),
    Column("began_at", UtcDateTime, nullable=False),
    _one_of("walks", "environment", Environment),
)

# Accounts that are not polled for a while: out of reach, or the key has no calls left.
rests = Table(
    "rests",
    metadata,
    Column("account", Text, primary_key=True),
    Column("began_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("failures", Integer, nullable=False),
    _text("error"),
)

# Why an order went where it went: one row an account that was looked at, in that order.
choices = Table(
    "choices",
    metadata,
    _id(),
    _text("reference"),
    Column("number", Integer, nullable=False),
    _text("account"),
    _text("environment"),
    _text("verdict"),
    _text("reason"),
    Column("at", UtcDateTime, nullable=False),
    _one_of("choices", "environment", Environment),
    _one_of("choices", "verdict", VERDICTS),
    Index("ix_choices_reference", "reference", "id"),
)

account_health = Table(
    "account_health",
    metadata,
    Column("account", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("open_until", UtcDateTime),
    _maybe("error"),
    Column("updated_at", UtcDateTime, nullable=False),
)

# The sendings of a key within its window, for all processes together.
rate_budgets = Table(
    "rate_budgets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("slots", JsonText, nullable=False),
    Column("closed_until", UtcDateTime),
    Column("seen_at", UtcDateTime, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", Text, primary_key=True),
    Column("next_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime),
)

reconciliations = Table(
    "reconciliations",
    metadata,
    _id(),
    _text("account"),
    _text("environment"),
    Column("since", UtcDateTime, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("report", JsonText, nullable=False),
    _one_of("reconciliations", "environment", Environment),
    Index("ix_reconciliations_account", "account", "id"),
)

# What the store knows of itself, such as which server it lives on: to notice that it was restored.
facts = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JsonText, nullable=False),
)

# While one is not accepted, no money leaves.
restores = Table(
    "restores",
    metadata,
    _id(),
    _text("reason"),
    Column("found_at", UtcDateTime, nullable=False),
    _maybe("accepted_by"),
    _maybe("accepted_reason"),
    Column("accepted_at", UtcDateTime),
)

# A key of an account's ring. Its secret is in the vault, under the account and the label.
api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    *_where(),
    _text("label"),
    _text("kind"),
    _maybe("public_id"),
    # The names of its parts that are in the vault.
    Column("parts", JsonText, nullable=False),
    Column("permissions", JsonText, nullable=False),
    Column("networks", JsonText),
    _text("pool"),
    _text("state"),
    _text("origin"),
    Column("made_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("verified_at", UtcDateTime),
    # Set aside since the provider refused it.
    Column("refused_at", UtcDateTime),
    Column("retired_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # The expiry that `key.expiring` was told of, so that each is told once.
    Column("told_expiry", UtcDateTime),
    *_times(),
    # Of a key that a login obtains: when the token expires that any process obtained last.
    Column("token_expires_at", UtcDateTime),
    UniqueConstraint("account", "label", name="uq_api_keys_label"),
    _one_of("api_keys", "environment", Environment),
    _one_of("api_keys", "state", KEY_STATES),
    _one_of("api_keys", "origin", KEY_ORIGINS),
    Index("ix_api_keys_expires_at", "expires_at"),
)

# Who did what with which key, and when; never a secret. Append-only.
key_audit = Table(
    "key_audit",
    metadata,
    _id(),
    Column("at", UtcDateTime, nullable=False),
    _text("actor"),
    _text("action"),
    _maybe("account"),
    _maybe("provider"),
    _maybe("environment"),
    _maybe("label"),
    Column("detail", JsonText, nullable=False),
    CheckConstraint("environment IN ('live', 'sandbox')", name="ck_key_audit_environment"),
    Index("ix_key_audit_account", "account", "label", "id"),
)

# The vault, where it is kept in the store: the same bytes as its file would have.
vault = Table(
    "vault",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("id = 1", name="ck_vault_one"),
)
