"""How a process sees a simulated file: looks at it, opens it, reads it."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from lco_ingester.exceptions import FileMissingError
from lco_ingester.frame import Fingerprint
from tests.simulation.files import SimulatedFiles
from tests.simulation.process import Call, Run


class SimulatedFile:
    """As `lco_ingester.file.datafile.PathFile` answers, for one process.

    `changing`: files may still change, so each look and each reading is a call. `look` gets the name of the process.
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
        number = self._run.call(opened, lambda _: self._files.inode_of(self.path), pauses=self._changing)
        if number is None:
            raise FileMissingError(frame=self.path)
        yield cast(BinaryIO, _Stream(number, lambda: self._read(number)))

    def fingerprint_of(self, stream: BinaryIO) -> Fingerprint:
        """Size, time and inode of what was opened: a look at the path, if it is still there."""
        number = cast(_Stream, stream).number
        who = self._run.process.name
        return cast(
            Fingerprint,
            self._run.call(Call("look", self.path), lambda _: self._fingerprint(who, number), pauses=self._changing),
        )

    def _fingerprint(self, who: str, number: int) -> Fingerprint | None:
        if self._files.inode_of(self.path) == number:
            return self._look(who, self.path)
        return self._files.fingerprint_of(number)

    def _read(self, number: int) -> bytes:
        reading = Call("read", self.path)
        return cast(
            bytes,
            self._run.call(reading, lambda _: self._bytes_in(number), pauses=self._changing),
        )

    def _bytes_in(self, number: int) -> bytes:
        if self._run.only_sends:
            return self._files.bytes_in(number)
        return self._files.read(self.path, number)


class _Stream(io.RawIOBase):
    """A stream of inode `number` that reads its file once a pass: at the first read after its beginning."""

    def __init__(self, number: int, read_file: Any) -> None:
        super().__init__()
        self.number = number
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
