"""Simulated files, which change, change back or vanish between any two calls."""

import hashlib
from functools import lru_cache
from pathlib import PurePath
from typing import Any, NamedTuple

from lco_ingester.frame import Fingerprint
from tests.simulation.copied import Copied
from tests.support.synthetic import image


def basename_of(path: str) -> str:
    """The basename of a file or an S3 key: its name up to the first dot."""
    return PurePath(path).name.partition(".")[0]


class Event(NamedTuple):
    """A change of a path, at most once.

    `rewritten`: other bytes in the same inode; `replaced`: another file is moved there; `restored`: the first file is
    moved back, with its bytes, time and inode; `vanished`.
    """

    what: str
    path: str
    content: str = ""


SITES_EXTENSION = ".site"
"""A site's own type of file (docs/sites.md): its reader opens the file again, after we have read it for the md5."""

HALF = "half of "
"""Before the name of bytes: only the first half of them."""


@lru_cache
def content_bytes(content: str) -> bytes:
    """A FITS file that is a header alone; all have the same size, but for one that is not yet written to its end."""
    whole = image({"OBJECT": content.removeprefix(HALF)})
    return whole[: len(whole) // 2] if content.startswith(HALF) else whole


@lru_cache
def md5_of(content: str) -> str:
    """The md5 of the bytes of that name."""
    return hashlib.md5(content_bytes(content)).hexdigest()


class Inode(NamedTuple):
    """A file on the disk: the name of its bytes, and how often it was written."""

    content: str
    written: int


class SimulatedFiles(Copied):
    """Paths, inodes, and what every path means: the bytes that were read there last; compared by `key`."""

    def __init__(self, contents: dict[str, str]) -> None:
        self._inodes = tuple(Inode(content, 0) for content in contents.values())
        self._first = {path: number for number, path in enumerate(contents)}
        self._paths = tuple(self._first.items())
        self._read: frozenset[tuple[str, str]] = frozenset()
        self._meaning: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        return self._inodes, self._paths, self._read, self._meaning

    def apply(self, event: Event) -> None:
        """Make this change."""
        paths = dict(self._paths)
        match event.what:
            case "rewritten" if event.path in paths:
                inodes = list(self._inodes)
                old = inodes[paths[event.path]]
                inodes[paths[event.path]] = Inode(event.content, old.written + 1)
                self._inodes = tuple(inodes)
            case "rewritten" | "replaced":
                self._inodes += (Inode(event.content, 0),)
                paths[event.path] = len(self._inodes) - 1
            case "restored":
                paths[event.path] = self._first[event.path]
            case "vanished":
                paths.pop(event.path, None)
            case _:
                raise ValueError(event)
        self._paths = tuple(paths.items())

    def inode_of(self, path: str) -> int | None:
        """The number of the inode at this path."""
        return dict(self._paths).get(path)

    def look(self, path: str) -> Fingerprint | None:
        """What a stat says."""
        number = self.inode_of(path)
        if number is None:
            return None
        inode = self._inodes[number]
        if (path, inode.content) in self._read:  # the same as was read once: it means that again
            self._means(path, inode.content)
        return self.fingerprint_of(number)

    def fingerprint_of(self, number: int) -> Fingerprint:
        """What a stat of an open file says."""
        inode = self._inodes[number]
        return Fingerprint(len(content_bytes(inode.content)), inode.written, number)

    def read(self, path: str, number: int) -> bytes:
        """The bytes in an inode that was opened at this path."""
        content = self._inodes[number].content
        self._read |= {(path, content)}
        if self.inode_of(path) == number:  # else somebody else has moved another file there
            self._means(path, content)
        return self.bytes_in(number)

    def bytes_in(self, number: int) -> bytes:
        """The bytes in an inode, for a reader that does not look at them."""
        return content_bytes(self._inodes[number].content)

    def meant(self, path: str) -> str | None:
        """The md5 of what the path held when it was read last, or looked at and known again."""
        content = dict(self._meaning).get(path)
        return None if content is None else md5_of(content)

    def held(self, path: str) -> str | None:
        """The md5 of what the path holds."""
        number = self.inode_of(path)
        return None if number is None else md5_of(self._inodes[number].content)

    def _means(self, path: str, content: str) -> None:
        self._meaning = tuple(({**dict(self._meaning), path: content}).items())
