"""Which checks a frame has to pass, and what becomes of a failure: an error, a warning, or nothing."""

import logging
from dataclasses import dataclass, fields
from typing import Self

from lco_ingester.exceptions import IngesterError
from lco_ingester.settings import CheckName, Settings

# What VALIDATION=headers leaves out; the rest is needed to know that the record's header is the file's.
STRICT_ONLY: tuple[CheckName, ...] = ("checksum", "datasum", "padding", "trailing", "members")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """What is asked of a file and how deeply it is checked; the fields are explained in `Settings`."""

    archive_extensions: tuple[str, ...]
    validation: str
    validation_warn_only: tuple[CheckName, ...]
    date_from_mjd: bool
    package_max_members: int
    expanded_max_bytes: int
    expanded_max_ratio: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The checks that the settings ask for."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(CheckPolicy)})

    def is_enabled(self, name: CheckName) -> bool:
        """Whether a check is to be made at all."""
        return self.validation == "strict" or name not in STRICT_ONLY

    def fail(self, name: CheckName, error: IngesterError) -> None:
        """Raise the error of a check, or log it if that is all that is wanted."""
        if not self.is_enabled(name):
            return
        if name not in self.validation_warn_only:
            raise error
        self.warn(name, error)

    def warn(self, name: CheckName, error: IngesterError) -> None:
        """What becomes of a failure that is only a warning."""
        logger.warning("check %s, only a warning: %s", name, error)

    def ran(self, name: CheckName, where: str) -> None:
        """Told of each check that is made, and of which file or member; for who wants to know (`inspection`)."""
