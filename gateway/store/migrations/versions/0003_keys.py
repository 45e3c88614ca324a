"""Key rings, what was done with keys, and the vault of a store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _one_of(table: str, column: str, words: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words.split())
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{table}_{column}")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("public_id", sa.Text, nullable=True),
        sa.Column("parts", sa.Text, nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("networks", sa.Text, nullable=True),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("made_at", sa.Text),
        sa.Column("expires_at", sa.Text),
        sa.Column("verified_at", sa.Text),
        sa.Column("refused_at", sa.Text),
        sa.Column("retired_at", sa.Text),
        sa.Column("revoked_at", sa.Text),
        sa.Column("told_expiry", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.UniqueConstraint("account", "label", name="uq_api_keys_label"),
        _one_of("api_keys", "environment", "live sandbox"),
        _one_of("api_keys", "state", "active retiring revoked"),
        _one_of("api_keys", "origin", "issued imported"),
    )
    op.create_index("ix_api_keys_expires_at", "api_keys", ["expires_at"])

    op.create_table(
        "key_audit",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=True),
        sa.Column("provider", sa.Text, nullable=True),
        sa.Column("environment", sa.Text, nullable=True),
        sa.Column("label", sa.Text, nullable=True),
        sa.Column("detail", sa.Text, nullable=False),
        sa.CheckConstraint("environment IN ('live', 'sandbox')", name="ck_key_audit_environment"),
    )
    op.create_index("ix_key_audit_account", "key_audit", ["account", "label", "id"])

    op.create_table(
        "vault",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_vault_one"),
    )
