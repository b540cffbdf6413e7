"""Numbers of a WCS that no reader should be given: wcslib crashes over them, or takes all the memory."""

import re
from collections.abc import Mapping
from typing import Any

# wcslib knows 32 axes; an order of the SIP convention is at most 9.
_MOST = {"WCSAXES": 32, "A_ORDER": 9, "B_ORDER": 9, "AP_ORDER": 9, "BP_ORDER": 9}
_OF_THE_SKY = re.compile(
    r"WCSAXES|(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)(0*[12]_0*[12]|00[12]00[12])|PV0*[12]_\d+|PROJP\d+|LONPOLE|LATPOLE"
    r"|RADESYS|RADECSYS|EQUINOX|EPOCH|[AB]P?_(ORDER|\d_\d)"
)


def describes_sky(keyword: str) -> bool:
    """Whether it is a keyword of the WCS."""
    return _OF_THE_SKY.fullmatch(keyword) is not None


def refuse_absurd(header: Mapping[str, Any]) -> None:
    """Raises ValueError for a number of axes or an order that is out of range."""
    for keyword, most in _MOST.items():
        value = header.get(keyword)
        if isinstance(value, (int, float)) and not 0 <= value <= most:
            raise ValueError(f"{keyword} is {value!r}, not from 0 to {most}")
