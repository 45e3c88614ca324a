"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _one_of(table: str, column: str, words: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words.split())
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{table}_{column}")


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("settles_to", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.UniqueConstraint("reference", name="uq_orders_reference"),
        _one_of("orders", "environment", "live sandbox"),
        _one_of("orders", "settles_to", "merchant customer"),
        _one_of(
            "orders",
            "status",
            "creating pending processing underpaid paid expired failed cancelled refunded unrecognised",
        ),
    )
    op.create_index("ix_orders_status", "orders", ["status", "id"])
    op.create_table(
        "attempts",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("exceptions", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=True),
        sa.Column("snapshot", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["reference"], ["orders.reference"], name="fk_attempts_order"),
        sa.UniqueConstraint("reference", "number", name="uq_attempts_number"),
        sa.UniqueConstraint("attempt_id", name="uq_attempts_attempt_id"),
        sa.UniqueConstraint("account", "provider_id", name="uq_attempts_provider_id"),
        sa.CheckConstraint("number >= 1", name="ck_attempts_number"),
        _one_of("attempts", "environment", "live sandbox"),
        _one_of(
            "attempts",
            "status",
            "creating pending processing underpaid paid expired failed cancelled refunded unrecognised",
        ),
    )
    op.create_index("ix_attempts_account", "attempts", ["account", "status"])
    op.create_table(
        "moves",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("from_status", sa.Text, nullable=False),
        sa.Column("to_status", sa.Text, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["reference", "number"], ["attempts.reference", "attempts.number"], name="fk_moves_attempt"
        ),
        _one_of(
            "moves",
            "from_status",
            "creating pending processing underpaid paid expired failed cancelled refunded unrecognised",
        ),
        _one_of(
            "moves",
            "to_status",
            "creating pending processing underpaid paid expired failed cancelled refunded unrecognised",
        ),
    )
    op.create_index("ix_moves_attempt", "moves", ["reference", "number"])
    op.create_table(
        "journal",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("lease_until", sa.Text, nullable=True),
        sa.Column("result", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("provider_id", sa.Text, nullable=True),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.Column("sent_at", sa.Text, nullable=True),
        sa.Column("ended_at", sa.Text, nullable=True),
        sa.Column("settled_by", sa.Text, nullable=True),
        sa.Column("settled_reason", sa.Text, nullable=True),
        sa.UniqueConstraint("operation", "reference", "scope", name="uq_journal_write"),
        _one_of("journal", "environment", "live sandbox"),
        _one_of("journal", "state", "intended sent done rejected unknown"),
    )
    op.create_index("ix_journal_account", "journal", ["account", "id"])
    op.create_index("ix_journal_reference", "journal", ["reference"])
    op.create_index("ix_journal_state", "journal", ["state", "id"])
    op.create_table(
        "withdrawals",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=True),
        sa.Column("snapshot", sa.Text, nullable=True),
        sa.Column("begun_at", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.UniqueConstraint("reference", name="uq_withdrawals_reference"),
        _one_of("withdrawals", "environment", "live sandbox"),
        _one_of("withdrawals", "status", "pending processing completed failed cancelled unconfirmed"),
    )
    op.create_index("ix_withdrawals_account", "withdrawals", ["account", "id"])
    op.create_index("ix_withdrawals_day", "withdrawals", ["account", "symbol", "begun_at"])
    op.create_index("ix_withdrawals_status", "withdrawals", ["status", "id"])
    op.create_table(
        "refunds",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("order_reference", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=True),
        sa.Column("snapshot", sa.Text, nullable=True),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["order_reference", "attempt"], ["attempts.reference", "attempts.number"], name="fk_refunds_attempt"
        ),
        sa.UniqueConstraint("reference", name="uq_refunds_reference"),
        _one_of("refunds", "environment", "live sandbox"),
        _one_of("refunds", "status", "pending processing completed failed unconfirmed"),
    )
    op.create_index("ix_refunds_account", "refunds", ["account", "id"])
    op.create_index("ix_refunds_attempt", "refunds", ["order_reference", "attempt"])
    op.create_index("ix_refunds_status", "refunds", ["status", "id"])
    op.create_table(
        "customers",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.UniqueConstraint("account", "reference", name="uq_customers_reference"),
        sa.UniqueConstraint("account", "provider_id", name="uq_customers_provider_id"),
        _one_of("customers", "environment", "live sandbox"),
    )
    op.create_table(
        "cards",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.UniqueConstraint("reference", name="uq_cards_reference"),
        _one_of("cards", "environment", "live sandbox"),
        _one_of("cards", "status", "active frozen blocked expired unrecognised"),
    )
    op.create_index("ix_cards_account", "cards", ["account", "id"])
    op.create_table(
        "trades",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=True),
        sa.Column("snapshot", sa.Text, nullable=True),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.UniqueConstraint("reference", name="uq_trades_reference"),
        _one_of("trades", "environment", "live sandbox"),
        _one_of("trades", "status", "pending open filled cancelled unconfirmed unrecognised"),
    )
    op.create_index("ix_trades_account", "trades", ["account", "id"])
    op.create_index("ix_trades_provider_id", "trades", ["account", "provider_id"])
    op.create_index("ix_trades_status", "trades", ["status", "id"])
    op.create_table(
        "request_numbers",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "freezes",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("frozen_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("frozen_at", sa.Text, nullable=False),
        sa.Column("lifted_by", sa.Text, nullable=True),
        sa.Column("lifted_at", sa.Text, nullable=True),
    )
    op.create_index("ix_freezes_account", "freezes", ["account"])
