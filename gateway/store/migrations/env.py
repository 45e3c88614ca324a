"""Alembic's entry. It runs on the connection, and inside the transaction, that `gateway.store.schema` hands it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import func, select

from gateway.store.tables import metadata

connection = context.config.attributes["connection"]
# Where new tables go. Named, so that the version table of another schema on the search path is not taken for ours.
schema = connection.execute(select(func.current_schema())).scalar() if connection.dialect.name == "postgresql" else None
context.configure(connection=connection, target_metadata=metadata, version_table_schema=schema)
with context.begin_transaction():
    context.run_migrations()
