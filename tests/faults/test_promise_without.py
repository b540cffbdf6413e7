"""Frames are lost or left unannounced when a rule of the promise is taken out: the tests of the promise notice."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.hooks import Hook
from tests.faults.killable_site import KillableSite, killable_site
from tests.faults.report import md5
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import ArchiveServer, S3Server

pytestmark = pytest.mark.timeout(180)

# The hook at which each rule counts.
RULES = {
    "redelivered": Hook("after:post", "", ("die",)),
    "attempts": Hook("after:post", "", ("touch", "lose answer")),
    "late acks": Hook("after:put", "", ("die",)),
    "reject on worker lost": Hook("after:put", "", ("die",)),
    "look before the post": Hook("before:post", "", ("replace",)),
}


@pytest.fixture(scope="module")
def without(
    tmp_path_factory: pytest.TempPathFactory,
    node: RabbitNode,
    api: ArchiveServer,
    bucket: S3Server,
    new_files: Callable[[int], list[Path]],
) -> Iterator[dict[str, tuple[KillableSite, Path, str]]]:
    """For each rule, a site without it after a frame has reached the hook, and the md5 that was read first."""
    with ExitStack() as stack:
        sites = {}
        for rule, path in zip(RULES, new_files(len(RULES)), strict=True):
            directory = tmp_path_factory.mktemp("without")
            site = stack.enter_context(killable_site(directory, node, api, bucket, [RULES[rule]], rule))
            site.start_worker(1)
            site.dispatch(path)
            sites[rule] = (site, path, md5(path))
        for rule, (site, path, _) in sites.items():
            site.wait_for_hook(RULES[rule].point, path)
        for site, _, _ in sites.values():
            site.wait_for_quiet()
        yield sites


@pytest.mark.parametrize("rule", ["redelivered", "attempts"])
def test_without_the_question_whether_a_message_may_have_run_a_frame_is_never_announced(
    without: dict[str, tuple[KillableSite, Path, str]], rule: str
) -> None:
    site, path, _ = without[rule]
    assert site.archived_md5s(path) == [md5(path)]
    assert site.announced(md5(path)) == []
    assert site.site.letters() == []


def test_without_late_acks_a_frame_is_lost(without: dict[str, tuple[KillableSite, Path, str]]) -> None:
    site, path, _ = without["late acks"]
    assert site.archived_md5s(path) == []
    assert site.site.letters() == []


def test_without_reject_on_worker_lost_a_frame_is_given_up(without: dict[str, tuple[KillableSite, Path, str]]) -> None:
    site, path, _ = without["reject on worker lost"]
    assert site.archived_md5s(path) == []
    [letter] = site.site.letters()
    assert letter.path == str(path)


def test_without_a_look_before_the_post_bytes_are_archived_that_the_name_no_longer_means(
    without: dict[str, tuple[KillableSite, Path, str]],
) -> None:
    site, path, read_first = without["look before the post"]
    assert site.archived_md5s(path) == [read_first] != [md5(path)]
