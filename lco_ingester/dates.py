"""Dates as FITS headers have them (FITS standard 4.0, section 9.1.1)."""

from datetime import UTC, datetime


def parse_date(text: str) -> datetime:
    """An ISO 8601 date, alone or with a time of day, in UTC without a time zone.

    Raises ValueError.
    """
    date = datetime.fromisoformat(text.strip())
    return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
