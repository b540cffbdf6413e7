"""The celestial coordinate system of a header (FITS standard 4.0, section 8.3)."""

import re
from collections.abc import Mapping
from typing import Any

from astropy.coordinates import (
    FK4,
    FK5,
    BarycentricMeanEcliptic,
    BaseCoordinateFrame,
    FK4NoETerms,
    Galactic,
    Supergalactic,
)
from astropy.time import Time

from lco_ingester.record.values import is_set

LATITUDE_OF = {"RA": "DEC", "GLON": "GLAT", "ELON": "ELAT", "SLON": "SLAT"}
"""Axes that are fixed on the sky, longitude → latitude."""

_BESSEL_BEFORE = 1984.0  # an equinox without a system means FK4 before, FK5 after
_J2000 = 2000.0
_FIRST_YEAR, _LAST_YEAR = 1800.0, 2200.0
_NEGLIGIBLE = 1e-3  # years of precession: 0.05 arcsec; FK5 of J2000 differs from the ICRS by less


def frame_of(header: Mapping[str, Any], longitude: str, system: str) -> BaseCoordinateFrame | None:
    """The frame of these coordinates, None if it is the ICRS to 0.1 arcsec; `system` is RADESYS.

    Raises ValueError if they cannot be transformed to the ICRS.
    """
    if longitude == "GLON":
        return Galactic()
    if longitude == "SLON":
        return Supergalactic()
    if longitude == "RA" and system == "ICRS":
        return None
    equinox = _equinox(header)
    if longitude == "ELON":
        return BarycentricMeanEcliptic(equinox=_julian(equinox or _J2000))
    if system == "GAPPT":
        raise ValueError("its RADESYS is GAPPT: apparent places at an unknown time")
    if system in ("FK4", "FK4-NO-E") or (system != "FK5" and equinox and equinox < _BESSEL_BEFORE):
        moment = Time(equinox or 1950.0, format="byear")
        return FK4NoETerms(equinox=moment) if system == "FK4-NO-E" else FK4(equinox=moment)
    if equinox is None or abs(equinox - _J2000) < _NEGLIGIBLE:
        return None
    return FK5(equinox=_julian(equinox))


def _equinox(header: Mapping[str, Any]) -> float | None:
    """EQUINOX, or EPOCH in old headers, in years: a number, or a text that may begin with J or B."""
    keyword = "EQUINOX" if is_set(header.get("EQUINOX")) else "EPOCH"
    value = header.get(keyword)
    if not is_set(value):
        return None
    found = re.fullmatch(r"[JB]?(\d{4}(\.\d*)?)", str(value).strip().upper())
    if not found or not _FIRST_YEAR <= float(found[1]) <= _LAST_YEAR:
        raise ValueError(f"its {keyword} is {value!r}, not the year of an equinox")
    return float(found[1])


def _julian(year: float) -> Time:
    return Time(year, format="jyear", scale="tt")
