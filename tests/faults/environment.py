"""All that takes part in a run: brokers, external services, and the service with its supervisor."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.external_services import FlakyStore, KillableArchive
from tests.faults.supervisor import Supervisor
from tests.support.rabbitmq import RabbitNode, running_rabbitmq
from tests.support.servers import running_s3
from tests.support.service import Deployment, deployed

# Short times, so that a short run has many retries.
SETTINGS = {
    "RETRY_SERVER_FIRST": "1",
    "RETRY_SERVER_LONGEST": "5",
    "RETRY_FILE_FIRST": "1",
    "RETRY_FILE_LONGEST": "2",
    "RETRY_FILE_PATIENCE": "6",
    "BREAKER_SECONDS": "5",
    "API_TIMEOUT": "10",
    "SOFT_SHUTDOWN_SECONDS": "10",
}
LAG = 0.5  # seconds by which answers of the archive lag behind


@dataclass
class Environment:
    """All that takes part in a run."""

    directory: Path
    site: Deployment
    supervisor: Supervisor
    nodes: list[RabbitNode]
    api: KillableArchive
    store: FlakyStore
    helpers: ThreadPoolExecutor
    say: Callable[[str], None]
    kills: Counter[str] = field(default_factory=Counter)
    busy: dict[str, Future[None]] = field(default_factory=dict)


@contextmanager
def running_environment(
    directory: Path, seed: int, workers: int, two_brokers: bool, say: Callable[[str], None]
) -> Iterator[Environment]:
    """All of it, without faults; it ends with the block."""
    with ExitStack() as stack:
        names = ["fits", "celery"] if two_brokers else ["both"]
        nodes = [stack.enter_context(running_rabbitmq(directory / f"broker-{name}", name)) for name in names]
        api = KillableArchive(directory / "archive", seed, lag_seconds=LAG)
        stack.callback(api.close)
        store = stack.enter_context(running_s3("faults"))
        settings = {**SETTINGS, "BROKER_URL": nodes[-1].url}
        site = stack.enter_context(deployed(directory / "logs", nodes[0].url, api.server, store, **settings))
        supervisor = Supervisor(site, workers, 2, seed)
        helpers = stack.enter_context(ThreadPoolExecutor(4))
        yield Environment(directory, site, supervisor, nodes, api, FlakyStore(store, seed + 7), helpers, say)
