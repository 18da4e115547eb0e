"""Real databases for tests: a PostgreSQL cluster for each test process, and fresh migrated databases on it and on SQLite."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

import psycopg

from tests.support import programs

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")
MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""The time at which the template's region codes were imported."""

MIGRATED = "migrated"
"""The name of the template that a cluster of `migrated_cluster` has."""

ROOM = 2 << 30
"""Bytes that must be free in memory before databases are put there: the need of one test process."""

CALM = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
    "update_process_title": "off",
}
"""PostgreSQL settings for speed: no test cuts the power, so nothing needs to wait for the disk; and no database of a test grows old."""


def prepare_template(url: str) -> None:
    """Give an empty database the newest schema and the region codes, with which every test starts."""
    from sqlalchemy.orm import sessionmaker

    from sifilma.kernel.clock import ManualClock
    from sifilma.kernel.context import Context
    from sifilma.kernel.db import make_engine
    from sifilma.kernel.unit_of_work import UnitOfWork
    from sifilma.oversight.region_imports import bring_codes
    from sifilma.schema import migrate

    migrate.upgrade(url)
    engine = make_engine(url, pool_size=1)
    unit = UnitOfWork(sessionmaker(engine))
    bring_codes(Context(unit, ManualClock(MADE)))
    unit.commit()
    unit.close()
    engine.dispose()


def quick_folder() -> Path:
    """Return the folder for databases: in memory if there is room, because copying a thousand of them on a disk takes most of its time."""
    memory = Path("/dev/shm")  # also a temporary folder, but in memory
    has_room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    return memory if has_room else Path(tempfile.gettempdir())


class Cluster:
    """A PostgreSQL server of this test process. It listens on a socket alone, in a folder with a short name: a socket's path has at most
    107 bytes.
    """

    def __init__(self, base: Path, settings: dict[str, str]) -> None:
        self.base = base
        self._bin = programs.postgresql()
        self._settings = settings
        self._as_server = _server_user(base)
        self._maintenance: psycopg.Connection[Any] | None = None

    def url(self, database: str) -> str:
        """Return the URL of a database on this server."""
        return f"postgresql://sifilma@/{database}?host={self.base}"

    def create(self, template: str = "template0", name: str | None = None) -> str:
        """Make a database with the content of `template`; return its name. Copying its files takes half the time of PostgreSQL's default
        strategy, which writes the content to the write-ahead log.
        """
        name = name or f"t_{uuid4().hex[:12]}"
        self._execute(f'create database "{name}" template "{template}" strategy file_copy')
        return name

    def drop(self, name: str) -> None:
        """Drop a database and end its connections."""
        self._execute(f'drop database "{name}" with (force)')

    def initialise(self) -> None:
        """Make the data folder with initdb."""
        self._run("initdb", "-U", "sifilma", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = {"listen_addresses": "''", "unix_socket_directories": str(self.base)} | self._settings
        switches = " ".join(f"-c {name}={value}" for name, value in options.items())
        self._run("pg_ctl", "-w", "-s", "-l", str(self.base / "log"), "-o", switches, "start")

    def stop(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Stop the server; `immediate` is a crash."""
        self._disconnect()
        self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server's processes with SIGSTOP within the block: it accepts connections and answers nothing. They continue after the
        block even if it raises.
        """
        stopped = self._processes()
        try:
            _signal(stopped, signal.SIGSTOP)
            yield
        finally:
            _signal(stopped, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """Return the process ids of the postmaster and its children."""
        postmaster = int((self.base / "data" / "postmaster.pid").read_text().split()[0])
        return [postmaster, *_children(postmaster)]

    def save(self, folder: Path) -> None:
        """Copy the data folder of the stopped server to a folder that does not exist yet."""
        part = folder.with_name(f"{folder.name}.part")
        _copy(self.base / "data", part)
        part.rename(folder)  # what is there is whole

    def load(self, folder: Path) -> None:
        """Take a data folder that was saved, instead of making one."""
        _copy(folder, self.base / "data")

    def _execute(self, statement: str) -> None:
        """Execute on a connection that is kept: a new one costs the server 4 ms, and the tests make and drop 2,000 databases."""
        if self._maintenance is not None and (self._maintenance.closed or not _answers(self._maintenance)):
            self._disconnect()
        if self._maintenance is None:
            self._maintenance = psycopg.connect(self.url("postgres"), autocommit=True)
        self._maintenance.execute(statement.encode())

    def _disconnect(self) -> None:
        if self._maintenance is not None:
            self._maintenance.close()
            self._maintenance = None

    def _run(self, name: str, *arguments: str) -> None:
        """Run a server program on this cluster; RuntimeError with the end of its output if it fails."""
        command = [str(self._bin / name), "-D", str(self.base / "data"), *arguments]
        log = self.base / "commands.log"
        with log.open("ab") as output:  # not a pipe: the server would inherit it and keep it open
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, **self._as_server)
        if done.returncode:
            raise RuntimeError(f"{name} failed with {done.returncode}:\n{log.read_text()[-2000:]}")


def _server_user(base: Path) -> dict[str, Any]:
    """Return the options of subprocess.run for the server's programs: they refuse to run as root, so root runs them as `postgres`."""
    options: dict[str, Any] = {"cwd": base, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(base)}}
    if os.geteuid() != 0:
        return options
    user = pwd.getpwnam("postgres")
    os.chown(base, user.pw_uid, user.pw_gid)
    return options | {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _copy(source: Path, target: Path) -> None:
    """Copy a data folder. Its files keep their owner, without whom the server does not start."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _answers(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the server is still there: a test may have stopped it, or ended all its connections."""
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True


def _signal(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists: a child of the server may have ended by itself."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # the process ended after the folder was listed
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


@contextmanager
def running_cluster(saved: Path | None = None, **settings: str) -> Iterator[Cluster]:
    """Yield a started cluster and remove it afterwards: a new one, or a copy of a `saved` one. `settings` override CALM (a durability
    test passes `fsync="on"`).
    """
    base = Path(tempfile.mkdtemp(prefix="sif-pg-", dir=quick_folder()))
    try:
        cluster = Cluster(base, CALM | settings)
        if saved:
            cluster.load(saved)
        else:
            cluster.initialise()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(base)


@contextmanager
def common_folder(parent: Path, process: str) -> Iterator[Path]:
    """Yield a folder that all test processes of a run share. The last of them removes it."""
    folder, lock = parent / "common", parent / "common.lock"
    user = folder / f"{process}.user"
    with _only_one(lock):
        folder.mkdir(exist_ok=True)
        user.touch()
    try:
        yield folder
    finally:
        with _only_one(lock):
            user.unlink()
            if not any(folder.glob("*.user")):
                shutil.rmtree(folder)


@contextmanager
def migrated_cluster(common: Path | None = None) -> Iterator[Cluster]:
    """Yield a running cluster with the template MIGRATED. `common` is the folder of all test processes of a run: the first of them makes
    the template, the others copy its data folder.
    """
    with ExitStack() as stack:
        if common is None:
            cluster = stack.enter_context(running_cluster())
            _add_template(cluster)
        else:
            with _only_one(common / "postgresql.lock"):
                cluster = stack.enter_context(_common_cluster(common / "postgresql"))
        yield cluster


@contextmanager
def _common_cluster(saved: Path) -> Iterator[Cluster]:
    """Yield a running copy of the saved cluster with the template, which is made and saved if it is not there yet."""
    is_new = not saved.exists()
    with running_cluster(None if is_new else saved) as cluster:
        if is_new:
            _add_template(cluster)
            cluster.stop("fast")
            cluster.save(saved)
            cluster.start()
        yield cluster


def migrated_file(folder: Path, common: Path | None = None) -> Path:
    """Return the SQLite database with the newest schema and the region codes. `common`: see `migrated_cluster`."""
    file = (common or folder) / "migrated.db"
    with _only_one(file.with_suffix(".lock")):
        if not file.exists():
            made = file.with_name("making.db")
            prepare_template(f"sqlite:///{made}")
            made.rename(file)
    return file


def _add_template(cluster: Cluster) -> None:
    """Make the template MIGRATED. Its region codes were updated while they were imported: what that left is not copied a thousand times."""
    url = cluster.url(cluster.create(name=MIGRATED))
    prepare_template(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum full region")


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Let one test process after the other run the block."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Fresh(Protocol):
    """A factory of databases of one kind: copies of a template that one test process migrates (and may fill, see `holding`)."""

    def make(self) -> str:
        """A new database; its URL."""
        ...

    def remove(self, url: str) -> None:
        """Throw a database away."""
        ...

    def save(self, url: str) -> str:
        """Keep a copy of a database to which nobody is connected; return the name for `restore`."""
        ...

    def restore(self, url: str, saved: str) -> None:
        """Put a saved copy in the place of a database to which nobody is connected."""
        ...

    def holding(self, prepare: Callable[[str], None]) -> Fresh:
        """Return a factory whose template also holds what `prepare` puts into the database of a URL. It must close its connections."""
        ...


class FreshPostgres:
    """`create database … template …` on this process's cluster."""

    def __init__(self, cluster: Cluster, template: str = MIGRATED) -> None:
        self._cluster = cluster
        self._template = template

    def make(self) -> str:
        """A new database; its URL."""
        return self._cluster.url(self._cluster.create(self._template))

    def remove(self, url: str) -> None:
        """Throw a database away."""
        self._cluster.drop(_name(url))

    def save(self, url: str) -> str:
        """Keep a copy of a database to which nobody is connected; return the name for `restore`."""
        return self._cluster.create(_name(url))

    def restore(self, url: str, saved: str) -> None:
        """Put a saved copy in the place of a database to which nobody is connected."""
        self._cluster.drop(_name(url))
        self._cluster.create(saved, _name(url))

    def holding(self, prepare: Callable[[str], None]) -> Fresh:
        """One whose databases hold what `prepare` puts into their template as well."""
        template = self._cluster.create(self._template)
        prepare(self._cluster.url(template))
        return FreshPostgres(self._cluster, template)


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


class FreshSqlite:
    """Copies the file of the template."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        self._folder = folder
        self._template = template or migrated_file(folder)
        left = [path.name for path in self._template.parent.glob(f"{self._template.name}-*")]
        assert not left, f"the template was not closed: {left}"  # the copies would lack what is still in the write-ahead log

    def make(self) -> str:
        """A new database; its URL."""
        path = self._folder / f"{uuid4().hex[:12]}.db"
        shutil.copyfile(self._template, path)
        return f"sqlite:///{path}"

    def remove(self, url: str) -> None:
        """Throw a database away."""
        path = Path(url.removeprefix("sqlite:///"))
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()

    def save(self, url: str) -> str:
        """Keep a copy of a database to which nobody is connected; return the name for `restore`."""
        source, saved = Path(url.removeprefix("sqlite:///")), self._folder / f"saved-{uuid4().hex[:12]}.db"
        left = [path.name for path in source.parent.glob(f"{source.name}-*")]
        assert not left, f"the database was not closed: {left}"
        shutil.copyfile(source, saved)
        return str(saved)

    def restore(self, url: str, saved: str) -> None:
        """Put a saved copy in the place of a database to which nobody is connected."""
        self.remove(url)
        shutil.copyfile(saved, url.removeprefix("sqlite:///"))

    def holding(self, prepare: Callable[[str], None]) -> Fresh:
        """One whose databases hold what `prepare` puts into their template as well."""
        template = self._folder / f"template-{uuid4().hex[:12]}.db"
        shutil.copyfile(self._template, template)
        prepare(f"sqlite:///{template}")
        return FreshSqlite(self._folder, template)
