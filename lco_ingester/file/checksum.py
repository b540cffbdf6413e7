"""The ones'-complement sum behind CHECKSUM and DATASUM (FITS standard 4.0, section 4.4.2.7 and appendix J)."""

import numpy as np

MAX_SUM = 0xFFFFFFFF  # in ones' complement this is a second zero
WORD = 4  # bytes


class OnesComplementSum:
    """The sum of 32-bit big-endian words, with the carries added at the low end."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, data: bytes) -> None:
        """Add bytes. Only the last piece may end within a word, which is filled with zeros."""
        words, rest = divmod(len(data), WORD)
        self._sum += int(np.frombuffer(data, ">u4", words).sum(dtype=np.uint64))
        self._sum += int.from_bytes(data[words * WORD :].ljust(WORD, b"\0"), "big") if rest else 0

    @property
    def value(self) -> int:
        """The sum, 0 to 0xFFFFFFFE: both zeros of ones' complement are 0."""
        return self._sum % MAX_SUM
