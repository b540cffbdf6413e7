"""The matrix from pixels to degrees, from three conventions (FITS standard 4.0, sections 8.1.2 and 8.2)."""

import math
from collections.abc import Mapping
from typing import Any

from lco_ingester.record.footprint.cards import NoPlaceError, number
from lco_ingester.record.values import is_set

_ELEMENTS = ((1, 1), (1, 2), (2, 1), (2, 2))
_PC_DEFAULTS = {"PC1_1": 1.0, "PC1_2": 0.0, "PC2_1": 0.0, "PC2_2": 1.0}
# A pipeline makes a master frame from many frames, and keeps CD1_1 and CD2_2 of one of them.
_CALIBRATIONS = ("BIAS", "DARK", "SKYFLAT", "LAMPFLAT")


def _spellings(name: str) -> dict[str, str]:
    """Every way to write the elements of a matrix → the standard's: also PC001001 and PC01_01, as wcslib reads them."""
    spellings = {f"{name}{i:03}{j:03}": f"{name}{i}_{j}" for i, j in _ELEMENTS}
    for i, j in _ELEMENTS:
        texts = [(a, b) for a in (f"{i}", f"{i:02}", f"{i:03}") for b in (f"{j}", f"{j:02}", f"{j:03}")]
        spellings |= {f"{name}{a}_{b}": f"{name}{i}_{j}" for a, b in texts}
    return spellings


_CD = _spellings("CD")
_PC = _spellings("PC")


def cd_matrix(header: Mapping[str, Any], latitude_axis: int) -> dict[str, float]:
    """The four CDi_j of a header that has them, or has PCi_j, CDELTi or CROTAi.

    Astropy knows these conventions too, but applies the distortions of TPV before CDELT has scaled to degrees.
    Raises NoPlaceError if the camera was never calibrated, ValueError if a card holds no number,
    or two cards contradict each other.
    """
    cd = _elements(header, _CD)
    if any(is_set(value) for value in cd.values()):
        return _cd(header, cd)
    pc = {key: value for key, value in _elements(header, _PC).items() if is_set(value)}
    delta = _scale(header, has_pc=bool(pc))
    matrix = {key: number(pc, key) if key in pc else default for key, default in _PC_DEFAULTS.items()}
    if not pc:
        matrix = _rotation(header, latitude_axis, delta)
    return {"CD" + key[2:]: delta[key[2]] * value for key, value in matrix.items()}


def _elements(header: Mapping[str, Any], spellings: Mapping[str, str]) -> dict[str, Any]:
    """The values of the matrix's elements that the header has a card of, by the standard's keywords.

    Raises ValueError if an element has two values.
    """
    found: dict[str, Any] = {}
    written: dict[str, str] = {}
    for keyword in sorted(spellings.keys() & header.keys()):
        key, value = spellings[keyword], header[keyword]
        if is_set(found.get(key)) and is_set(value) and found[key] != value:
            raise ValueError(f"{written[key]} is {found[key]!r}, but {keyword} is {value!r}")
        if not is_set(found.get(key)):
            found[key], written[key] = value, keyword
    return found


def _cd(header: Mapping[str, Any], cd: Mapping[str, Any]) -> dict[str, float]:
    """Elements that are left out are 0 (section 8.1.2); those whose card has no value are not: they are unknown."""
    if unset := [key for key, value in cd.items() if not is_set(value)]:
        raise NoPlaceError(f"it was never calibrated: {', '.join(unset)} has no value")
    kind = header.get("OBSTYPE")
    if len(cd) < len(_ELEMENTS) and kind in _CALIBRATIONS:
        raise NoPlaceError(f"it was never calibrated: OBSTYPE is {kind}, and not all of CDi_j are set")
    matrix = {f"CD{i}_{j}": number(cd, f"CD{i}_{j}") if f"CD{i}_{j}" in cd else 0.0 for i, j in _ELEMENTS}
    if len(cd) < len(_ELEMENTS) and matrix["CD1_1"] * matrix["CD2_2"] == matrix["CD1_2"] * matrix["CD2_1"]:
        raise ValueError(f"{', '.join(sorted(matrix.keys() - cd.keys()))} are missing, and the rest is singular")
    return matrix


def _scale(header: Mapping[str, Any], has_pc: bool) -> dict[str, float]:
    """CDELTi by axis; 1 beside PCi_j that are degrees themselves."""
    scaled = [keyword for keyword in ("CDELT1", "CDELT2") if is_set(header.get(keyword))]
    if len(scaled) == 2:
        return {axis: number(header, f"CDELT{axis}") for axis in "12"}
    if has_pc and not scaled:
        return {"1": 1.0, "2": 1.0}
    if not scaled:
        raise NoPlaceError("it was never calibrated: neither CDi_j are set, nor CDELTi, nor PCi_j")
    other = "CDELT2" if scaled == ["CDELT1"] else "CDELT1"
    if other in header:
        raise NoPlaceError(f"it was never calibrated: {other} has no value")
    raise ValueError(f"{scaled[0]} is set, and {other} is not there")


def _rotation(header: Mapping[str, Any], latitude_axis: int, delta: Mapping[str, float]) -> dict[str, float]:
    """The PCi_j of the older CROTA, which belongs to the latitude's axis and rotates after the scaling."""
    keyword = f"CROTA{latitude_axis}"
    turn = math.radians(number(header, keyword)) if is_set(header.get(keyword)) else 0.0
    if turn and not (delta["1"] and delta["2"]):
        raise ValueError("CDELT1 or CDELT2 is 0")
    sign = 1.0 if latitude_axis == 2 else -1.0
    return {
        "PC1_1": math.cos(turn),
        "PC1_2": -sign * math.sin(turn) * (delta["2"] / delta["1"] if turn else 0.0),
        "PC2_1": sign * math.sin(turn) * (delta["1"] / delta["2"] if turn else 0.0),
        "PC2_2": math.cos(turn),
    }
