"""Private database servers for tests that kill, stop and freeze them: PostgreSQL, MariaDB, Redis.

Each is a process of its own on a free port of 127.0.0.1 with its data in a temporary folder, with the durability that the
engine has by default (Redis: every write on disk before its answer). The machine's own servers are never touched.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from .conftest import needs
from .test_command_line import free_port

SECONDS = 60.0  # for a start or stop that must end; far more than any takes
_POSTGRESQL = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), "")
_FOLDERS = f"{os.environ.get('PATH', '')}:/usr/sbin:{_POSTGRESQL}"


def program(name: str) -> str | None:
    """The path of an installed program, also of one outside PATH; None where it is not installed."""
    return shutil.which(name, path=_FOLDERS)


class Service:
    """A running server. `url()` gives a new and empty database in it; the port stays the same when it is started again."""

    name = "a database server"
    debian = ""  # the package that has it
    account = ""  # who runs it, where the tests run as root and it refuses to
    programs: tuple[str, ...] = ()
    stopping = signal.SIGTERM

    def __init__(self, folder: Path | None = None) -> None:
        """Make its data and start it in `folder`, which `account` must be able to reach, or in a new one below /tmp."""
        missing = [each for each in self.programs if program(each) is None]
        needs(not missing, f"{self.name} is not installed (Debian: apt install {self.debian})")
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name.lower()}-", dir=folder))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.made = 0
        self.data.mkdir()
        if self._user is not None:
            for each in (self.folder, self.data):
                shutil.chown(each, self._user)
        try:
            self.initialise()
            self.start()
        except BaseException:
            self.close()
            raise

    # -- what an engine defines

    def initialise(self) -> None:
        """Make the data folder's contents."""

    def command(self) -> list[str]:
        """The server's command line; it stays in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it takes commands now."""
        raise NotImplementedError

    def url(self) -> str:
        """The URL of a new and empty database."""
        raise NotImplementedError

    def disconnect(self) -> None:
        """Have the server close all its clients' connections, without stopping."""
        raise NotImplementedError

    # -- what all have

    def start(self) -> None:
        """Start it on its data, after a `kill` or `stop` too, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = self._spawn(self.command(), log)
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            gone = self.process.poll() is not None
            assert not gone and time.monotonic() < deadline, f"{self.name} does not start:\n{self.log()[-2000:]}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL to all its processes at once, as when the machine it runs on is gone."""
        if self.process is None:
            return
        self._signal(signal.SIGSTOP)  # so that none makes another or ends orderly meanwhile
        killed = self._signal(signal.SIGKILL)
        self.process.wait(SECONDS)
        while any(runs(pid) for pid in killed):
            time.sleep(0.001)
        self.process = None

    def stop(self) -> None:
        """Stop it orderly, without waiting for its clients."""
        if self.process is not None:
            os.kill(self.process.pid, self.stopping)
            self.process.wait(SECONDS)
            self.process = None

    def pause(self) -> None:
        """Freeze all its processes (SIGSTOP): connections stay open, nothing answers. A signal that was sent is not yet obeyed:
        on another core a thread goes on for a moment.
        """
        stopped, end = self._signal(signal.SIGSTOP), time.monotonic() + SECONDS
        while not all(stands_still(pid) for pid in stopped):
            assert time.monotonic() < end, f"{self.name} was not stopped"
            time.sleep(0.001)

    def resume(self) -> None:
        """Let them go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What it wrote to its log."""
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _user(self) -> str | None:
        """The account that runs it; None for that of the tests."""
        return self.account if os.geteuid() == 0 and self.account else None

    def _spawn(self, command: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        group = None if self._user is None else pwd.getpwnam(self._user).pw_gid
        others = None if group is None else [group]
        return subprocess.Popen(
            command, cwd=self.folder, user=self._user, group=group, extra_groups=others, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip

    def _run(self, *command: str) -> str:
        """The output of a program that ends by itself, run as the server's account."""
        with tempfile.TemporaryFile() as output:
            process = self._spawn([program(command[0]) or command[0], *command[1:]], output)
            status = process.wait(SECONDS)
            output.seek(0)
            text = output.read().decode(errors="replace")
        assert status == 0, f"{' '.join(command)}: {text[-2000:]}"
        return text

    def _signal(self, number: int) -> list[int]:
        """The processes that `number` was sent to."""
        found = [] if self.process is None else family(self.process.pid)
        for pid in found:
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(pid, number)
        return found


class PostgreSQL(Service):
    """PostgreSQL with the user `postgres` and no password."""

    name = "PostgreSQL"
    debian = "postgresql"
    account = "postgres"
    programs = ("initdb", "postgres", "psql")
    stopping = signal.SIGINT  # "fast": clients are cut off

    def initialise(self) -> None:
        options = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync")  # of initdb alone
        self._run("initdb", f"--pgdata={self.data}", *options)

    def command(self) -> list[str]:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder}
        chosen = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [program("postgres") or "", "-D", str(self.data), *chosen]

    def answers(self) -> bool:
        if not listens(self.port):
            return False
        try:
            return self.sql("SELECT 1").strip() == "1"
        except AssertionError:
            return False  # it listens already while it recovers

    def sql(self, statement: str) -> str:
        """The rows that `statement` gives, run as the superuser."""
        options = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
        where = ("--host=127.0.0.1", f"--port={self.port}", "--username=postgres", "--dbname=postgres")
        return self._run("psql", *options, *where, f"--command={statement}")

    def url(self) -> str:
        self.made += 1
        self.sql(f"CREATE DATABASE fresh{self.made}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/fresh{self.made}"

    def disconnect(self) -> None:
        self.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname LIKE 'fresh%'")


class MariaDB(Service):
    """MariaDB with the user `root` and no password."""

    name = "MariaDB"
    debian = "mariadb-server"
    account = "mysql"
    programs = ("mariadb-install-db", "mariadbd", "mariadb")

    def initialise(self) -> None:
        options = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
        self._run("mariadb-install-db", "--no-defaults", f"--datadir={self.data}", *options)

    def command(self) -> list[str]:
        where = ["--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.folder}/socket"]
        small = ["--innodb-buffer-pool-size=32M", "--skip-name-resolve", f"--pid-file={self.folder}/pid"]
        return [program("mariadbd") or "", "--no-defaults", f"--datadir={self.data}", *where, *small]

    def answers(self) -> bool:
        return listens(self.port)  # it listens once it has recovered

    def sql(self, statement: str) -> str:
        """The rows that `statement` gives, run as root."""
        where = ("--protocol=tcp", "--host=127.0.0.1", f"--port={self.port}", "--user=root")
        return self._run("mariadb", "--no-defaults", *where, "--batch", "--skip-column-names", f"--execute={statement}")

    def url(self) -> str:
        self.made += 1
        self.sql(f"CREATE DATABASE fresh{self.made} CHARACTER SET utf8mb4")
        return f"mysql://root@127.0.0.1:{self.port}/fresh{self.made}"

    def disconnect(self) -> None:
        with suppress(AssertionError):  # it ends its own connection too
            self.sql("KILL USER root")


class Redis(Service):
    """Redis with an append-only file that is on disk before a write is answered, and that never evicts."""

    name = "Redis"
    debian = "redis-server"
    programs = ("redis-server", "redis-cli")

    def command(self) -> list[str]:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.data, "databases": 64, "save": "", "daemonize": "no"}
        durable = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        chosen = [part for name, value in {**options, **durable}.items() for part in (f"--{name}", str(value))]
        return [program("redis-server") or "", *chosen]

    def answers(self) -> bool:
        try:
            return listens(self.port) and self.ask("PING").strip() == "PONG"  # it says LOADING before
        except AssertionError:
            return False

    def ask(self, *words: str) -> str:
        """The answer to a command."""
        return self._run("redis-cli", "-e", "-h", "127.0.0.1", "-p", str(self.port), *words)

    def url(self) -> str:
        self.made += 1
        assert self.made < 64, "Redis was started with 64 databases"
        return f"redis://127.0.0.1:{self.port}/{self.made}"

    def disconnect(self) -> None:
        for kind in ("normal", "pubsub"):
            self.ask("CLIENT", "KILL", "TYPE", kind)


ENGINES: dict[str, type[Service]] = {"postgresql": PostgreSQL, "mysql": MariaDB, "redis": Redis}


def runs(pid: int) -> bool:
    """Whether a process has not ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def listens(port: int) -> bool:
    """Whether somebody takes connections on a port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def stands_still(pid: int) -> bool:
    """Whether no thread of a process runs: each is stopped or has ended."""
    with suppress(OSError):  # it ended meanwhile
        return all(task.read_text().rpartition(")")[2].split()[0] in "TZX" for task in Path(f"/proc/{pid}/task").glob("*/stat"))
    return True


def family(pid: int) -> list[int]:
    """A process and all its descendants, parents first."""
    found = [pid]
    for each in found:
        with suppress(OSError):  # it ended meanwhile
            found += [int(child) for child in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
    return found
