"""A process that stops right after acknowledgements does not get back what it acknowledged."""

from ingester_app.broker import fits_connection, fits_queue
from tests.support.processes import wait_until
from tests.support.service import Deployment

NAMES = 300


def test_a_listener_that_is_stopped_in_the_middle_dispatches_each_name_once(site: Deployment) -> None:
    """RabbitMQ 3.10 loses acknowledgements after the 33rd in flight: a listener has at most 10, its prefetch."""
    site.declare_ingest_queue()
    with fits_connection(site.settings) as connection:
        fits_queue(site.settings)(connection.default_channel).declare()
    site.publish(*[{"path": f"/data/{number}.fits"} for number in range(NAMES)])
    while site.frames_waiting() < NAMES:
        before = site.frames_waiting()
        listener = site.start_listener()
        wait_until("some tasks", lambda: site.frames_waiting() > min(NAMES - 1, before + NAMES / 4))  # noqa: B023
        assert listener.end() == 0
    logged = [line for program in site.programs for line in program.logged().splitlines() if '"dispatched"' in line]
    assert len(logged) == site.frames_waiting() == NAMES
    assert site.names_waiting() == 0
