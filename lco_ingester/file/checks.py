"""Which checks a frame has to pass, and what a failure leads to: an error, a warning, or nothing."""

import logging
from dataclasses import dataclass, fields, replace
from typing import Self

from lco_ingester.exceptions import IngesterError
from lco_ingester.settings import CheckName, Settings

# What VALIDATION=headers leaves out; the rest is needed to know that the record's header is the file's.
STRICT_ONLY: tuple[CheckName, ...] = ("checksum", "datasum", "padding", "trailing", "members")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """How deeply files are checked; the fields are explained in `Settings`.

    `where` is the file that is being checked, or `file:member`: failures and warnings name it.
    """

    archive_extensions: tuple[str, ...]
    validation: str
    validation_warn_only: tuple[CheckName, ...]
    date_from_mjd: bool
    package_max_members: int
    expanded_max_bytes: int
    expanded_max_ratio: float
    where: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The checks that the settings ask for."""
        names = [field.name for field in fields(CheckPolicy) if field.name != "where"]
        return cls(**{name: getattr(settings, name) for name in names})

    def at(self, where: str) -> Self:
        """The same checks for this file or `file:member`."""
        return replace(self, where=where)

    def is_enabled(self, name: CheckName) -> bool:
        """Whether the check is made."""
        return self.validation == "strict" or name not in STRICT_ONLY

    def fail(self, name: CheckName, error: IngesterError) -> None:
        """Raise the error of a check, or only warn, or neither, as the settings say."""
        if not self.is_enabled(name):
            return
        error.frame = error.frame or self.where
        if name not in self.validation_warn_only:
            raise error
        self.warn(name, error)

    def warn(self, name: CheckName, error: IngesterError) -> None:
        """Log a failure that is only a warning."""
        logger.warning("check %s, only a warning: %s", name, error)

    def ran(self, name: CheckName) -> None:
        """Called for each check that is made; `preview.inspection` records it."""
