"""Checked cards → astropy's WCS, value by value, because astropy takes thirty times as long to read a header."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS, Sip

PV = {
    f"PV{axis:0{wide}}_{index:0{digits}}": (axis, index)
    for axis in (1, 2) for wide in (1, 2, 3) for index in range(100) for digits in (1, 2, 3)
}  # fmt: skip
"""The cards of a projection's parameters → their axis and index (FITS standard 4.0, section 8.2)."""
SIP = frozenset(
    f"{name}_{power}" for name in "AB" for power in ("ORDER", *(f"{i}_{j}" for i in range(10) for j in range(10)))
)
"""The cards of SIP's polynomials."""

_SCAMP = 5  # from this PV on, TAN means TPV, as SCAMP wrote before 2012; those of TAN itself end with PV1_4


def wcs_of(cards: Mapping[str, Any], axes: Sequence[int]) -> WCS:
    """The WCS of CTYPEi, CRVALi, CDi_j and, if they are there, CUNITi, CRPIXj, LONPOLE, LATPOLE, PVi_m and SIP's cards.

    `axes` are its world axes in the order of the result. The result is identical to WCS(header, naxis=2), to the last
    bit. Raises ValueError, or another error of astropy's, if the cards make no sense.
    """
    wcs = WCS(naxis=2, fix=False)
    types = [cards[f"CTYPE{axis}"] for axis in axes]
    wcs.wcs.ctype = [each.replace("-TAN", "-TPV") for each in types] if _is_scamp(types, cards) else types
    units = [cards.get(f"CUNIT{axis}", "deg") for axis in axes]
    if units != ["deg", "deg"]:  # they are the default, and astropy is slow at reading units
        wcs.wcs.cunit = units
    wcs.wcs.crval = [cards[f"CRVAL{axis}"] for axis in axes]
    wcs.wcs.cd = [[cards[f"CD{axis}_{pixel}"] for pixel in (1, 2)] for axis in axes]
    wcs.wcs.crpix = [cards.get(f"CRPIX{pixel}", 0.0) for pixel in (1, 2)]
    wcs.wcs.lonpole = cards.get("LONPOLE", wcs.wcs.lonpole)
    wcs.wcs.latpole = cards.get("LATPOLE", wcs.wcs.latpole)
    parameters = [(*PV[key], cards[key]) for key in cards if key in PV]
    wcs.wcs.set_pv([(1 + axes.index(axis), index, value) for axis, index, value in parameters])
    wcs.sip = _sip(cards)
    # In the order of WCS(header, naxis=2): `fix` is too late for a unit, and only fixes PVs that stand next to SIP.
    wcs.wcs.set()
    wcs.fix()
    wcs.wcs.set()
    return wcs


def _is_scamp(types: Sequence[str], cards: Mapping[str, Any]) -> bool:
    return all(each.endswith("-TAN") for each in types) and any(PV[key][1] >= _SCAMP for key in cards if key in PV)


def _sip(cards: Mapping[str, Any]) -> Sip | None:
    """SIP's polynomials; None if that of the second axis has no order above 1.

    Raises ValueError, as astropy does for a header, if an order or the reference pixel is missing.
    """
    first, second = cards.get("A_ORDER", 0.0), cards.get("B_ORDER", 0.0)
    if max(first, second) <= 1:
        return None
    if first <= 1:
        raise ValueError("B_ORDER provided without corresponding A_ORDER keyword for SIP distortion")
    if "B_ORDER" not in cards:
        raise ValueError("A_ORDER provided without corresponding B_ORDER keyword for SIP distortion")
    if int(second) <= 1:
        return None
    if not ("CRPIX1" in cards and "CRPIX2" in cards):
        raise ValueError("Header has SIP keywords without CRPIX keywords")
    polynomials = _polynomial(cards, "A", int(first)), _polynomial(cards, "B", int(second))
    return Sip(*polynomials, None, None, (cards["CRPIX1"], cards["CRPIX2"]))


def _polynomial(cards: Mapping[str, Any], name: str, order: int) -> npt.NDArray[np.float64]:
    """The coefficients of x^i y^j, with i + j up to `order`."""
    coefficients = np.zeros((order + 1, order + 1))
    for i in range(order + 1):
        for j in range(order + 1 - i):
            coefficients[i, j] = cards.get(f"{name}_{i}_{j}", 0.0)
    return coefficients
