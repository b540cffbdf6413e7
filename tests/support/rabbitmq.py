"""A private RabbitMQ node on a free port, which a test may stop, kill and start again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kombu import Connection

from tests.support.ports import free_port

START_SECONDS = 60
# Debian's own script of this name changes to a user without access to our directory; the program behind it does not.
_PATH = f"/usr/lib/rabbitmq/bin:{os.environ.get('PATH', '')}:/usr/local/sbin"
PROGRAM = shutil.which("rabbitmq-server", path=_PATH)
CONTROL = shutil.which("rabbitmqctl", path=_PATH)


@dataclass(frozen=True, slots=True)
class NodeTls:
    """The files of a node that speaks TLS too; it may want certificates of its clients."""

    ca_file: Path
    cert_file: Path
    key_file: Path
    wants_client_certificates: bool = False

    def config(self, port: int) -> str:
        """Lines of rabbitmq.conf."""
        wanted = self.wants_client_certificates
        return (
            f"listeners.ssl.default = 127.0.0.1:{port}\nssl_options.cacertfile = {self.ca_file}\n"
            f"ssl_options.certfile = {self.cert_file}\nssl_options.keyfile = {self.key_file}\n"
            f"ssl_options.verify = {'verify_peer' if wanted else 'verify_none'}\n"
            f"ssl_options.fail_if_no_peer_cert = {'true' if wanted else 'false'}\n"
        )


class RabbitNode:
    """One node with its data in `directory`; it finds them again when it is started again."""

    def __init__(
        self,
        directory: Path,
        name: str = "private",
        tls: NodeTls | None = None,
        config: str = "",
        starter: tuple[str, ...] = (),
    ) -> None:
        """`config` are more lines of rabbitmq.conf, `starter` is a program that starts the node."""
        self._directory = directory
        self._command = (*starter, str(PROGRAM))
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.tls_port = free_port()
        file = directory / "rabbitmq.conf"
        file.write_text(
            f"vm_memory_high_watermark.absolute = 2GB\ndisk_free_limit.absolute = 50MB\n{config}"
            + (tls.config(self.tls_port) if tls else "")
        )
        (directory / "plugins").write_text("[].\n")
        self._environment = {
            **os.environ,
            "HOME": str(directory),  # where Erlang keeps its cookie
            "RABBITMQ_NODENAME": f"{name}{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(file),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "ERL_EPMD_PORT": str(free_port()),  # a name server of its own, which ends with it
        }

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._directory,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with Connection(self.url, connect_timeout=2) as connection:
                    connection.connect()
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"RabbitMQ did not start:\n{self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL to the node and all that belongs to it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM to the node."""
        self._end(signal.SIGTERM)

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` answers."""
        command = [str(CONTROL), "--node", self._environment["RABBITMQ_NODENAME"], *arguments]
        ended = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
        if ended.returncode:
            raise RuntimeError(f"{arguments}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """The node blocks publishers: low on memory."""
        self.control("set_vm_memory_high_watermark", "0.0000001")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "absolute", "2GB")

    @contextmanager
    def disk_alarm(self) -> Iterator[None]:
        """The node blocks publishers: low on disk."""
        self.control("set_disk_free_limit", "1000000000000000")
        try:
            yield
        finally:
            self.control("set_disk_free_limit", "50MB")

    def freeze(self) -> None:
        """SIGSTOP: connections stay, and it does not answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def forget(self) -> None:
        """End the name server that the node left behind; it refuses until it notices that the node is gone."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            ended = subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True, check=False)
            if b"living nodes" not in ended.stdout + ended.stderr:
                return
            time.sleep(0.1)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._process = None


@contextmanager
def running_rabbitmq(directory: Path, name: str = "private", tls: NodeTls | None = None) -> Iterator[RabbitNode]:
    """A private node that ends with the block."""
    directory.mkdir(parents=True, exist_ok=True)
    node = RabbitNode(directory, name, tls)
    try:
        node.start()
        yield node
    finally:
        node.kill()
        node.forget()
