"""The promise when files change, vanish, come late or come twice; and the cases of the duplicate rule."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.hooks import Hook
from tests.faults.killable_site import KillableSite, killable_site
from tests.faults.report import md5
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import ArchiveServer, S3Server, running_archive

pytestmark = pytest.mark.timeout(180)

CHANGES = (
    ("before:upload", "overwrite"),
    ("before:upload", "replace"),
    ("before:put", "overwrite"),  # the store refuses other bytes than those whose md5 was taken
    ("before:put", "replace"),  # what was opened is put, and found outdated before the post
    ("before:post", "overwrite"),
    ("before:post", "replace"),
)
OTHERS = (
    "vanished",
    "superseded",
    "answer lost",
    "answer lost, touched",
    "twice at once",
    "half written",
    "first name",
)


class Changed:
    """A site after a run with files that change; each kind of change has a file of its own."""

    def __init__(self, site: KillableSite, paths: list[Path], directory: Path) -> None:
        self.site = site
        self.changes = dict(zip(CHANGES, paths, strict=False))
        self.others = dict(zip(OTHERS, paths[len(CHANGES) :], strict=True))
        self.read_first = {path: md5(path) for path in paths}
        first = self.others["first name"]
        self.second_name = directory / f"copy-of-{first.name}"
        self.second_name.write_bytes(first.read_bytes())

    def run(self) -> None:
        """Publish the files, and make the changes that no hook can make."""
        site, half = self.site, self.others["half written"]
        whole = half.read_bytes()
        half.write_bytes(whole[: len(whole) // 2])
        site.start_worker(3)
        twice = self.others["twice at once"]
        site.dispatch(twice, twice)
        site.dispatch(*self.changes.values(), *(path for path in self.others.values() if path != twice))
        site.wait_until_logged(half, "FITS_TRUNCATED")
        half.write_bytes(whole)
        self._supersede(self.others["superseded"])
        wait_until("the first name", lambda: site.archived_md5s(self.others["first name"]), 60)
        site.dispatch(self.second_name)
        site.site.wait_for_letters(2, 60)
        site.wait_for_quiet()

    def _supersede(self, path: Path) -> None:
        self.site.wait_for_hook("before:post", path)
        client, bucket = self.site.store.client(), self.site.store.bucket
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        [key] = [each["Key"] for each in listed if each["Key"].endswith(f"/{path.name}")]
        client.put_object(Bucket=bucket, Key=key, Body=b"a newer reduction")
        path.unlink()
        self.site.hooks.release(path.name)


def _hooks(paths: list[Path]) -> list[Hook]:
    others = dict(zip(OTHERS, paths[len(CHANGES) :], strict=True))
    return [
        *(Hook(point, path.name, (do,)) for (point, do), path in zip(CHANGES, paths, strict=False)),
        Hook("before:post", others["vanished"].name, ("vanish",)),
        Hook("before:post", others["superseded"].name, ("wait",)),
        Hook("after:post", others["answer lost"].name, ("lose answer",)),
        Hook("after:post", others["answer lost, touched"].name, ("touch", "lose answer")),
        Hook("before:post", others["twice at once"].name, ("meet",), times=2),
    ]


@pytest.fixture(scope="module")
def changed(
    tmp_path_factory: pytest.TempPathFactory,
    node: RabbitNode,
    api: ArchiveServer,
    bucket: S3Server,
    new_files: Callable[[int], list[Path]],
) -> Iterator[Changed]:
    paths = new_files(len(CHANGES) + len(OTHERS))
    directory = tmp_path_factory.mktemp("changed")
    with killable_site(directory, node, api, bucket, _hooks(paths), RETRY_FILE_PATIENCE="7") as site:
        after_run = Changed(site, paths, directory)
        after_run.run()
        yield after_run


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
def test_a_file_that_changes_after_it_was_read_is_archived_as_it_is_last_read(
    changed: Changed, change: tuple[str, str]
) -> None:
    path = changed.changes[change]
    assert changed.site.hooks.times_reached(change[0], path.name) == 1
    assert "FILE_CHANGED" in changed.site.logged(path)
    assert md5(path) != changed.read_first[path]
    changed.site.assert_archived_once_and_announced(path)
    assert changed.site.announced(changed.read_first[path]) == []


def test_the_store_never_holds_bytes_under_the_md5_of_others(changed: Changed) -> None:
    path = changed.changes["before:put", "overwrite"]
    assert changed.site.versions(path) == [md5(path)]


def test_a_file_that_vanishes_before_its_post_is_archived_as_it_was_read(changed: Changed) -> None:
    path = changed.others["vanished"]
    assert not path.exists()
    changed.site.assert_archived_once_and_announced(path, changed.read_first[path])


def test_a_file_that_vanished_and_was_superseded_is_a_letter(changed: Changed) -> None:
    path = changed.others["superseded"]
    assert [letter.reason for letter in changed.site.site.letters() if letter.path == str(path)] == ["SUPERSEDED"]
    assert changed.site.archived_md5s(path) == []


def test_a_file_that_is_still_being_written_is_archived_when_it_is_whole(changed: Changed) -> None:
    path = changed.others["half written"]
    changed.site.assert_archived_once_and_announced(path)
    assert changed.site.versions(path) == [md5(path)]


def test_a_post_whose_answer_was_lost_is_ours_by_its_version(changed: Changed) -> None:
    path = changed.others["answer lost"]
    changed.site.assert_archived_once_and_announced(path)
    assert len(changed.site.announced(md5(path))) == 1
    assert len(changed.site.versions(path)) == 1


def test_a_retry_that_finds_its_bytes_archived_announces_them(changed: Changed) -> None:
    path = changed.others["answer lost, touched"]
    assert "FILE_CHANGED" in changed.site.logged(path), "so the message no longer holds the version"
    changed.site.assert_archived_once_and_announced(path)


def test_of_two_messages_that_post_at_the_same_time_one_announces(changed: Changed) -> None:
    path = changed.others["twice at once"]
    assert changed.site.hooks.times_reached("before:post", path.name) == 2
    changed.site.assert_archived_once_and_announced(path)
    assert len(changed.site.announced(md5(path))) == 1
    assert "'archived already'" in changed.site.logged(path)


def test_the_same_bytes_under_a_second_name_are_a_letter(changed: Changed) -> None:
    letters = [letter for letter in changed.site.site.letters() if letter.path == str(changed.second_name)]
    assert [letter.reason for letter in letters] == ["ARCHIVED_UNDER_ANOTHER_NAME"]
    assert letters[0].attempts > 1, "a replica may lag"
    assert changed.site.archived_md5s(changed.second_name) == []
    changed.site.assert_archived_once_and_announced(changed.others["first name"])


def test_a_name_that_comes_again_is_not_announced_but_its_replay_is(changed: Changed) -> None:
    path = changed.others["first name"]
    before = len(changed.site.announced(md5(path)))
    changed.site.dispatch(path)
    changed.site.wait_until_logged(path, "'archived already'")
    assert len(changed.site.announced(md5(path))) == before
    changed.site.dispatch(path, replayed=True)
    wait_until("the replay", lambda: len(changed.site.announced(md5(path))) == before + 1)
    changed.site.assert_archived_once_and_announced(path)


def test_a_frame_that_a_lagging_replica_does_not_show_yet_is_asked_for_again(
    tmp_path: Path, node: RabbitNode, bucket: S3Server, new_files: Callable[[int], list[Path]]
) -> None:
    [path] = new_files(1)
    lost = Hook("after:post", path.name, ("lose answer",))
    with (
        running_archive(tmp_path, lag_seconds=4) as lagging,
        killable_site(tmp_path, node, lagging, bucket, [lost], RETRY_FILE_PATIENCE="60") as site,
    ):
        site.start_worker(1)
        site.dispatch(path)
        site.wait_until_logged(path, "'archived'")
        assert "ARCHIVED_UNDER_ANOTHER_NAME" in site.logged(path)
        site.assert_archived_once_and_announced(path)
        assert site.site.letters() == []
