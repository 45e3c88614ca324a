"""Which revision of the schema a database has. Alembic is imported only when there is something to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, func, inspect, select, table

from gateway.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["HEAD", "REVISIONS", "require_current", "stored_revision", "upgrade"]

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision in `migrations/versions`, oldest first; a test compares them."""

HEAD = REVISIONS[-1]

_version = table("alembic_version", column("version_num"))


def stored_revision(connection: Connection, store: str) -> str | None:
    """The revision that the database says it has; None for an empty one. Raises StoreError for one of others."""
    server = connection.dialect.name == "postgresql"
    # The one where new tables go, whatever else is on the search path.
    own = connection.execute(select(func.current_schema())).scalar() if server else None
    if server and own is None:
        return None
    # Procrastinate may have come first: workers keep their queue in the same place.
    names = {name for name in inspect(connection).get_table_names(own) if not name.startswith("procrastinate_")}
    if not names:
        return None
    ours = {"alembic_version", "journal"} <= names
    found = connection.execute(select(_version.c.version_num)).scalars().all() if ours else []
    if len(found) != 1:
        # Its tables would stand among those of a shop: both have orders and customers.
        raise StoreError(
            f"{store} is a database, but not one of the gateway's; nothing in it was changed",
            hint="give the gateway a schema of its own: add ?schema=gateway to `store`"
            if server
            else "point `store` to a file of its own",
        )
    return str(found[0])


def require_current(revision: str, store: str) -> None:
    """Raises StoreError for an older schema, which a person upgrades, and for one that this version does not know."""
    if revision == HEAD:
        return
    if revision in REVISIONS:
        raise StoreError(
            f"the store {store} has the schema {revision}, this version needs {HEAD}; nothing was changed",
            hint="make a backup, then run `gateway store upgrade`",
        )
    raise StoreError(
        f"the store {store} has the schema {revision}, which this version does not know; nothing was changed",
        hint="it was made by a newer version: install that one",
    )


def upgrade(connection: Connection) -> None:
    """Bring the schema to HEAD, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "gateway.store:migrations")
    command.upgrade(config, "head")
