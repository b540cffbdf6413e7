"""Simulated files, which may change, change back or vanish between any two calls."""

import copy
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple, cast

from lco_ingester.exceptions import FileMissingError
from lco_ingester.frame import Fingerprint
from tests.library.synthetic import image
from tests.simulation.process import Call, Run


class Event(NamedTuple):
    """What may happen to a path once.

    `rewritten`: other bytes in the same inode; `replaced`: another file is moved there; `restored`: the first file is
    moved back, with its bytes, time and inode; `vanished`.
    """

    what: str
    path: str
    content: str = ""


@lru_cache
def content_bytes(content: str) -> bytes:
    """A FITS file that is a header alone; all have the same size."""
    return image({"OBJECT": content})


@lru_cache
def md5_of(content: str) -> str:
    """The md5 of the bytes of that name."""
    return hashlib.md5(content_bytes(content)).hexdigest()


class Inode(NamedTuple):
    """A file on the disk: the name of its bytes, and how often it was written."""

    content: str
    written: int


class SimulatedFiles:
    """Paths, inodes, and what every path means: the bytes that were read there last; copied by `copy`, compared by `key`."""

    def __init__(self, contents: dict[str, str]) -> None:
        self._inodes = tuple(Inode(content, 0) for content in contents.values())
        self._first = {path: number for number, path in enumerate(contents)}
        self._paths = tuple(self._first.items())
        self._read: frozenset[tuple[str, str]] = frozenset()
        self._meaning: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        return self._inodes, self._paths, self._read, self._meaning

    def copy(self) -> "SimulatedFiles":
        return copy.copy(self)

    def happen(self, event: Event) -> None:
        """Let it happen."""
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
        return Fingerprint(len(content_bytes(inode.content)), inode.written, number)

    def read(self, path: str, number: int) -> bytes:
        """The bytes in an inode that was opened at this path."""
        content = self._inodes[number].content
        if self.inode_of(path) == number:
            self._read |= {(path, content)}
            self._means(path, content)
        return content_bytes(content)

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


class SimulatedFile:
    """As `lco_ingester.datafile.PathFile` answers, for one process.

    `changing`: something may yet happen to files, so each look and each reading is a call. `look` is told who looks.
    """

    def __init__(
        self,
        path: str,
        run: Run,
        files: SimulatedFiles,
        changing: bool,
        look: Callable[[str, str], Fingerprint | None],
    ) -> None:
        self.path = path
        self._run = run
        self._files = files
        self._changing = changing
        self._look = look

    def fingerprint(self) -> Fingerprint | None:
        """Size, time and inode."""
        who = self._run.process.name
        return cast(
            Fingerprint | None,
            self._run.call(Call("look", self.path), lambda _: self._look(who, self.path), pauses=self._changing),
        )

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The bytes of the inode that is there now, as they are at each reading of them."""
        opened = Call("open", self.path)
        number = self._run.call(opened, lambda _: self._files.inode_of(self.path), pauses=False)
        if number is None:
            raise FileMissingError(frame=self.path)
        yield cast(BinaryIO, _Stream(lambda: self._read(number)))

    def _read(self, number: int) -> bytes:
        reading = Call("read", self.path)
        return cast(
            bytes,
            self._run.call(reading, lambda _: self._files.read(self.path, number), pauses=self._changing),
        )


class _Stream(io.RawIOBase):
    """A stream that reads its file once a pass: at the first read after its beginning."""

    def __init__(self, read_file: Any) -> None:
        super().__init__()
        self._read_file = read_file
        self._pass: io.BytesIO | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._pass is None:
            self._pass = io.BytesIO(self._read_file())
        return self._pass.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) == (0, io.SEEK_SET):
            self._pass = None
            return 0
        if self._pass is None:
            self._pass = io.BytesIO(self._read_file())
        return self._pass.seek(offset, whence)

    def tell(self) -> int:
        return 0 if self._pass is None else self._pass.tell()
