"""The matrix from pixels to degrees, from three conventions (FITS standard 4.0, sections 8.1.2 and 8.2)."""

import math
from collections.abc import Mapping
from typing import Any

from lco_ingester.record.footprint.cards import number
from lco_ingester.record.values import is_set

_CD = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
_PC = {"PC1_1": 1.0, "PC1_2": 0.0, "PC2_1": 0.0, "PC2_2": 1.0}


def cd_matrix(header: Mapping[str, Any], latitude_axis: int) -> dict[str, float] | None:
    """The four CDi_j of a header that has them, or has PCi_j, CDELTi or CROTAi; None if it has too few.

    Astropy knows these conventions too, but applies the distortions of TPV before CDELT has scaled to degrees.
    Raises ValueError if a card holds no number.
    """
    if any(is_set(header.get(keyword)) for keyword in _CD):
        # If some of the four are missing, the WCS was never calibrated; the missing ones are not zero.
        return {key: number(header, key) for key in _CD} if all(is_set(header.get(key)) for key in _CD) else None
    has_pc = any(is_set(header.get(keyword)) for keyword in _PC)
    scaled = [is_set(header.get(keyword)) for keyword in ("CDELT1", "CDELT2")]
    if not (all(scaled) or (has_pc and not any(scaled))):
        return None
    delta = {axis: number(header, f"CDELT{axis}") if all(scaled) else 1.0 for axis in "12"}
    matrix = _pc(header) if has_pc else _rotation(header, latitude_axis, delta)
    return {"CD" + key[2:]: delta[key[2]] * value for key, value in matrix.items()}


def _pc(header: Mapping[str, Any]) -> dict[str, float]:
    return {key: number(header, key) if is_set(header.get(key)) else default for key, default in _PC.items()}


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
