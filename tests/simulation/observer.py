"""What only an observer of all processes knows, and what decides whether the promise is kept."""

from typing import Any

from tests.simulation.archive import Row
from tests.simulation.broker import Announcement
from tests.simulation.copied import Copied


class Observer(Copied):
    """Which process looked at a file when, and what was put or posted after a look that was too old; copied by `copy`.

    It knows the one window that docs/operating.md leaves open: a newer frame was posted since the last look of the
    process that posts; or a newer one was put between that look and its own put, and the file is gone: then the look
    before the POST finds our bytes at the key.
    """

    def __init__(self) -> None:
        self._looks: frozenset[tuple[str, str, str | None]] = frozenset()  # process, basename, and the md5 there
        self._behind: frozenset[str] = frozenset()  # have looked, and another process has put since
        self._overtaken: frozenset[str] = frozenset()  # have looked, and another process has posted since
        self._late_puts: frozenset[str] = frozenset()  # md5s that a process put which was behind
        self.outdated: frozenset[str] = frozenset()  # basenames whose last POST had bytes that the file no longer had
        self.open_window: frozenset[str] = frozenset()  # basenames that met the open window
        self.wrong_announcements: tuple[Announcement, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """What distinguishes its state, without what it knows of the processes: `key_of`."""
        return self.outdated, self.open_window, self._late_puts

    def key_of(self, who: str) -> tuple[Any, ...]:
        """What it knows of one process."""
        look = next((each[1:] for each in self._looks if each[0] == who), None)
        return look, who in self._behind, who in self._overtaken

    def looked(self, who: str, basename: str, md5: str | None) -> None:
        """A process looked at a file, and these bytes were there."""
        self.ended(who)
        self._looks |= {(who, basename, md5)}

    def put(self, who: str, basename: str, md5: str) -> None:
        """A process put; it is late if another has put since its last look."""
        if who in self._behind:
            self._late_puts |= {md5}
        self._behind |= self._others_at(who, basename)

    def posted(self, who: str, basename: str, md5: str, meant: set[str | None], *, gone: bool) -> None:
        """A process posted while the files of this basename meant these md5s; `gone`: there is no such file now."""
        rightful = md5 in meant or (who, basename, md5) in self._looks
        self.outdated = self.outdated - {basename} if rightful else self.outdated | {basename}
        if who in self._overtaken or (gone and md5 in self._late_puts):
            self.open_window |= {basename}
        self._overtaken |= self._others_at(who, basename)

    def announced(self, said: Announcement, row: Row | None) -> None:
        """An announcement was published; all in it must be the archive's own version, and its id the md5."""
        if row is None or said != Announcement.rightful(row):
            self.wrong_announcements += (said,)

    def ended(self, who: str) -> None:
        """A process ended: what it saw has no effect any more."""
        self._looks = frozenset(each for each in self._looks if each[0] != who)
        self._behind -= {who}
        self._overtaken -= {who}

    def _others_at(self, who: str, basename: str) -> set[str]:
        """The other processes that looked at a file of this basename."""
        return {name for name, looked_at, _ in self._looks if looked_at == basename and name != who}
