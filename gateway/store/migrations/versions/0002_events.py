"""Callbacks, watching, events, routing, rate budgets, schedules, reconciliations and restores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _one_of(table: str, column: str, words: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words.split())
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{table}_{column}")


def upgrade() -> None:
    op.create_index("ix_attempts_provider_id", "attempts", ["provider_id"])
    op.create_table(
        "events",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=True),
        sa.Column("provider", sa.Text, nullable=True),
        sa.Column("environment", sa.Text, nullable=True),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.CheckConstraint("environment IN ('live', 'sandbox')", name="ck_events_environment"),
    )
    op.create_index("ix_events_subject", "events", ["subject", "id"])

    op.create_table(
        "handlers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )

    op.create_table(
        "deliveries",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("handler", sa.Text, nullable=False),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_deliveries_event"),
        sa.UniqueConstraint("handler", "event_id", name="uq_deliveries_event"),
        _one_of("deliveries", "state", "waiting done dead"),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["handler", "state", "next_at"])
    op.create_index("ix_deliveries_order", "deliveries", ["handler", "subject", "state", "event_id"])

    op.create_table(
        "callbacks",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("headers", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.Column("client", sa.Text, nullable=True),
        sa.Column("proof", sa.Text, nullable=False),
        sa.Column("proof_reason", sa.Text, nullable=True),
        sa.Column("provider_id", sa.Text, nullable=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("received_at", sa.Text, nullable=False),
        sa.Column("last_at", sa.Text, nullable=False),
        sa.Column("next_at", sa.Text, nullable=False),
        sa.Column("processed_at", sa.Text),
        _one_of("callbacks", "environment", "live sandbox"),
        _one_of("callbacks", "proof", "matches differs absent"),
        _one_of("callbacks", "state", "waiting taken processed rejected unmatched"),
    )
    op.create_index(
        "uq_callbacks_waiting",
        "callbacks",
        ["attempt_id", "digest", "proof"],
        unique=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_callbacks_due", "callbacks", ["state", "next_at"])
    op.create_index("ix_callbacks_attempt", "callbacks", ["attempt_id", "id"])

    op.create_table(
        "watches",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("made_at", sa.Text, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("looked_at", sa.Text, nullable=False),
        sa.Column("next_at", sa.Text, nullable=False),
        sa.Column("final_at", sa.Text),
        sa.Column("looks", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("absences", sa.Integer, nullable=False),
        sa.Column("found", sa.Text),
        sa.Column("error", sa.Text, nullable=True),
        sa.UniqueConstraint("kind", "reference", "number", name="uq_watches_thing"),
        _one_of("watches", "kind", "order withdrawal refund trade"),
        _one_of("watches", "environment", "live sandbox"),
    )
    op.create_index("ix_watches_due", "watches", ["account", "environment", "rank", "next_at"])
    op.create_index("ix_watches_batch", "watches", ["account", "environment", "batch", "rank", "next_at"])
    op.create_index("ix_watches_looked", "watches", ["looked_at"])

    op.create_table(
        "walks",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("batch", sa.Text, primary_key=True),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("began_at", sa.Text, nullable=False),
        _one_of("walks", "environment", "live sandbox"),
    )
    op.create_table(
        "rests",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("began_at", sa.Text, nullable=False),
        sa.Column("until", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )

    op.create_table(
        "choices",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        _one_of("choices", "environment", "live sandbox"),
        _one_of("choices", "verdict", "chosen skipped refused moved-on"),
    )
    op.create_index("ix_choices_reference", "choices", ["reference", "id"])

    op.create_table(
        "account_health",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("open_until", sa.Text),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("updated_at", sa.Text, nullable=False),
    )

    op.create_table(
        "rate_budgets",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("slots", sa.Text, nullable=False),
        sa.Column("closed_until", sa.Text),
        sa.Column("seen_at", sa.Text, nullable=False),
    )

    op.create_table(
        "schedules",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("next_at", sa.Text, nullable=False),
        sa.Column("last_at", sa.Text),
    )

    op.create_table(
        "reconciliations",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("began_at", sa.Text, nullable=False),
        sa.Column("ended_at", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        _one_of("reconciliations", "environment", "live sandbox"),
    )
    op.create_index("ix_reconciliations_account", "reconciliations", ["account", "id"])

    op.create_table(
        "facts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )

    op.create_table(
        "restores",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("found_at", sa.Text, nullable=False),
        sa.Column("accepted_by", sa.Text, nullable=True),
        sa.Column("accepted_reason", sa.Text, nullable=True),
        sa.Column("accepted_at", sa.Text),
    )
