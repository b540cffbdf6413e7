"""Make sample frames: small files like those of a night at an observatory, good ones and bad ones.

The same arguments give the same bytes; different nights and numbers give different bytes.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

from ingester_demo import sample_files as files
from ingester_demo import sample_headers as headers
from ingester_demo.sample_headers import Exposure


@dataclass(frozen=True)
class SampleFrame:
    """A file that was made: its kind, whether it can be archived, and if not the reason code."""

    path: Path
    kind: str
    good: bool
    reason: str | None


@dataclass(frozen=True)
class Kind:
    """A kind of sample: its name, a model of its exposure, its writer, and if it is refused the reason code."""

    name: str
    model: Exposure
    write: files.Writer
    reason: str | None = None


def make_frames(
    directory: Path, count: int = 12, night: date | None = None, *, pixels: int = 300, first: int = 1
) -> list[SampleFrame]:
    """Write `count` frames into `directory`, which is made if needed; two of the first twelve are bad.

    `night`: the date on which the night began; None: the last night that is over at every site.
    `pixels`: the side of the images; 300 gives files of 50 to 400 KB, 100 gives about 30 KB. `first`: the number of
    the first frame, to make more frames of the same night. When all kinds are used, they repeat.
    """
    directory.mkdir(parents=True, exist_ok=True)
    begun = night or _last_night()
    frames = []
    for number, kind in enumerate(islice(cycle(KINDS), count), start=first):
        exposure = replace(kind.model, night=begun, number=number)
        path = kind.write(directory, exposure, pixels)
        frames.append(SampleFrame(path, kind.name, kind.reason is None, kind.reason))
    return frames


def _last_night() -> date:
    # The night in Hawaii ends 36 hours after its date began in UTC; frames must not be in the future.
    return (datetime.now(UTC) - timedelta(hours=36)).date()


ANY_NIGHT = date(2000, 1, 1)

RAW = Exposure(headers.COJ, ANY_NIGHT, 0, "EXPOSE")
ELSEWHERE = replace(RAW, telescope=headers.ELP, target="M 74", ra=24.1740, dec=15.7836, filter="gp", seconds=120.0)
BIAS = Exposure(headers.CPT, ANY_NIGHT, 0, "BIAS", target="bias", seconds=0.0)
DARK = Exposure(headers.CPT, ANY_NIGHT, 0, "DARK", target="dark", seconds=300.0)
FLAT = Exposure(headers.LSC, ANY_NIGHT, 0, "SKYFLAT", target="sky flat", ra=151.2, dec=-31.7, seconds=4.5, filter="ip")
REDUCED = replace(RAW, level=91)
GUIDE = Exposure(headers.TFN, ANY_NIGHT, 0, "GUIDE", target="20 Tau", ra=56.4571, dec=24.3678, seconds=10.0, filter="w")
SPECTRUM = Exposure(
    headers.OGG_FLOYDS,
    ANY_NIGHT,
    0,
    "SPECTRUM",
    91,
    target="AT 2026demo",
    ra=310.358,
    dec=12.727,
    filter="air",
)
ECHELLE = Exposure(
    headers.LSC_NRES, ANY_NIGHT, 0, "TARGET", 91, target="HD 10700", ra=26.0170, dec=-15.9375, filter="air"
)
STANDARD = replace(ELSEWHERE, obstype="STANDARD", target="SA 98-978", ra=102.8914, dec=-0.1925, proposal="standard")

KINDS = (
    Kind("raw", RAW, files.plain("e00")),
    Kind("raw compressed", ELSEWHERE, files.packed("e00")),
    Kind("bias", BIAS, files.plain("b00")),
    Kind("dark", DARK, files.packed("d00")),
    Kind("sky flat", FLAT, files.packed("f00")),
    Kind("reduced compressed", REDUCED, files.packed("e91")),
    Kind("catalogue", REDUCED, files.catalogue),
    Kind("guide", GUIDE, files.plain("g00")),
    Kind("FLOYDS package", SPECTRUM, files.floyds),
    Kind("NRES package", ECHELLE, files.nres),
    Kind("truncated", RAW, files.truncated, "FITS_TRUNCATED"),
    Kind("keyword missing", RAW, files.keyword_missing, "HEADER_MISSING"),
    Kind("reduced", replace(ELSEWHERE, level=91), files.plain("e91")),
    Kind("standard", STANDARD, files.plain("s00")),
)
"""The kinds, in the order in which they are made."""
