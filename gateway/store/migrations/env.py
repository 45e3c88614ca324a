"""Alembic's entry. It runs on the connection, and inside the transaction, that `gateway.store.schema` hands it."""

from __future__ import annotations

from alembic import context

from gateway.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
