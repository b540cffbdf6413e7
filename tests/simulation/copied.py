"""How the parts of a world are copied: their fields hold only values that never change."""

from typing import Self


class Copied:
    """A part of the world with a fast `copy` (half of the search is copying)."""

    def copy(self) -> Self:
        """Another one with the same values."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made
