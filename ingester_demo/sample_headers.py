"""FITS headers for the sample frames, like those of Las Cumbres Observatory's cameras."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from astropy.coordinates import Angle
from astropy.io import fits

Cards = dict[str, object]


@dataclass(frozen=True)
class Telescope:
    """A telescope and its site.

    `evening` is the start of the night in hours after 0 h UTC of its date; `latitude` and `longitude` are in degrees,
    `height` is in metres.
    """

    site: str
    name: str
    telescope: str
    enclosure: str
    camera: str
    prefix: str
    latitude: float
    longitude: float
    height: float
    evening: float


COJ = Telescope("coj", "Siding Spring", "1m0a", "doma", "fa12", "coj1m011", -31.2728, 149.0709, 1165, 9.5)
CPT = Telescope("cpt", "SAAO", "1m0a", "domc", "fa06", "cpt1m013", -32.3473, 20.8100, 1760, 18)
TFN = Telescope("tfn", "Teide", "0m4a", "aqwa", "sq34", "tfn0m414", 28.3000, -16.5117, 2390, 20)
LSC = Telescope("lsc", "Cerro Tololo", "1m0a", "domb", "fa15", "lsc1m005", -30.1674, -70.8048, 2198, 24)
ELP = Telescope("elp", "McDonald", "1m0a", "doma", "fa05", "elp1m008", 30.6800, -104.0150, 2030, 25.5)
OGG_FLOYDS = Telescope("ogg", "Haleakala", "2m0a", "clma", "en06", "ogg2m001", 20.7070, -156.2575, 3055, 29)
LSC_NRES = Telescope("lsc", "Cerro Tololo", "igla", "igla", "fa09", "lscnrs01", -30.1674, -70.8048, 2198, 24)


@dataclass(frozen=True)
class Exposure:
    """One exposure of a night: telescope, target, filter and purpose.

    `level` is the reduction level (0 raw, 91 reduced), `ra` and `dec` are in degrees, `seconds` is the exposure time.
    """

    telescope: Telescope
    night: date
    number: int
    obstype: str
    level: int = 0
    target: str = "M 83"
    ra: float = 204.2538
    dec: float = -29.8658
    seconds: float = 30.0
    filter: str = "rp"
    proposal: str = "LCO2026B-004"

    @property
    def start(self) -> datetime:
        """The start in UTC: about a minute between two exposures, and different for each number."""
        evening = datetime.combine(self.night, time()) + timedelta(hours=self.telescope.evening)
        rounds, turn = divmod(self.number, 400)
        return evening + timedelta(seconds=turn * 59.417, milliseconds=7 * rounds + 3)

    @property
    def day(self) -> str:
        """DAY-OBS: the date on which the site's night began, `YYYYMMDD`."""
        return f"{self.night:%Y%m%d}"

    def name(self, suffix: str) -> str:
        """A file's name without extension, such as `coj1m011-fa12-20261122-0007-e91`."""
        return f"{self.telescope.prefix}-{self.telescope.camera}-{self.day}-{self.number:04d}-{suffix}"


def header(exposure: Exposure) -> fits.Header:
    """The cards of every frame of the exposure, in the order in which the cameras write them."""
    calibration = exposure.obstype in {"BIAS", "DARK", "SKYFLAT"}
    cards = _site(exposure.telescope) | _timing(exposure) | _instrument(exposure)
    cards |= _request(exposure, calibration) | _pointing(exposure) | _weather(exposure.number)
    made = fits.Header()
    for keyword, value in cards.items():
        made.append((keyword, *value) if isinstance(value, tuple) else (keyword, value), end=True)
    if exposure.level > 0:
        _add_reduction(made, exposure)
    made["COMMENT"] = "A sample frame: its data are invented."
    return made


def add_sky(made: fits.Header, exposure: Exposure, pixels: int, *, distorted: bool = False) -> None:
    """Add a TAN world coordinate system for a square image, optionally with SIP distortion (a few pixels)."""
    suffix = "-SIP" if distorted else ""
    made["CTYPE1"] = (f"RA---TAN{suffix}", "Projection of axis 1")
    made["CTYPE2"] = (f"DEC--TAN{suffix}", "Projection of axis 2")
    made["CUNIT1"], made["CUNIT2"] = "deg", "deg"
    made["CRPIX1"], made["CRPIX2"] = pixels / 2 + 0.5, pixels / 2 + 0.5
    made["CRVAL1"], made["CRVAL2"] = exposure.ra, exposure.dec
    # About 9000 pixels to a degree, rotated by a fraction of a degree.
    made["CD1_1"], made["CD1_2"] = -1.081e-4, 5.54e-7
    made["CD2_1"], made["CD2_2"] = -5.54e-7, 1.081e-4
    if distorted:
        made["A_ORDER"], made["B_ORDER"] = 2, 2
        made["A_2_0"], made["A_1_1"], made["A_0_2"] = 2.1e-5, -1.3e-6, 4.0e-7
        made["B_2_0"], made["B_1_1"], made["B_0_2"] = -3.0e-7, 1.9e-5, 1.1e-6


def _site(telescope: Telescope) -> Cards:
    return {
        "ORIGIN": ("LCOGT", "Where the data come from"),
        "SITEID": (telescope.site, "Code of the site"),
        "SITE": (f"LCOGT node at {telescope.name}", "Name of the site"),
        "ENCID": (telescope.enclosure, "Code of the enclosure"),
        "TELID": (telescope.telescope, "Code of the telescope"),
        "TELESCOP": (f"{telescope.telescope[:3]}-{telescope.prefix[-2:]}", "Name of the telescope"),
        "LATITUDE": (telescope.latitude, "[deg] North"),
        "LONGITUD": (telescope.longitude, "[deg] East"),
        "HEIGHT": (telescope.height, "[m] Above sea level"),
    }


def _timing(exposure: Exposure) -> Cards:
    start, stop = exposure.start, exposure.start + timedelta(seconds=exposure.seconds + 0.2)
    seconds_of_day = (start - datetime.combine(start, time())).total_seconds()
    return {
        "OBSTYPE": (exposure.obstype, "What the exposure is for"),
        "FRAMENUM": (exposure.number, "Running number in the night"),
        "TIMESYS": ("UTC", "Time system"),
        "DATE": (f"{stop:%Y-%m-%d}", "[UTC] Date of the file"),
        "DATE-OBS": (start.isoformat(timespec="milliseconds"), "[UTC] Start of the exposure"),
        "DAY-OBS": (exposure.day, "[UTC] Date at the start of the night"),
        "UTSTART": (start.time().isoformat(timespec="milliseconds"), "[UTC] Start of the exposure"),
        "UTSTOP": (stop.time().isoformat(timespec="milliseconds"), "[UTC] End of the exposure"),
        "MJD-OBS": (round(start.toordinal() - 678576 + seconds_of_day / 86400, 7), "[d] Start"),
        "EXPTIME": (exposure.seconds, "[s] Length of the exposure"),
    }


def _instrument(exposure: Exposure) -> Cards:
    return {
        "FILTER": (exposure.filter, "Filter in the beam"),
        "INSTRUME": (exposure.telescope.camera, "Code of the instrument"),
        "INSSTATE": ("OKAY", "State of the instrument"),
        "GAIN": (2.0, "[electrons/count]"),
        "RDNOISE": (9.8, "[electrons/pixel]"),
        "SATURATE": (128000.0, "[count]"),
        "CCDSUM": ("1 1", "Binning"),
        "CCDSEC": ("UNKNOWN", "Region of the detector that was read"),
        "CCDATEMP": (round(-100 + exposure.number % 7 / 100, 2), "[deg C] Temperature of the detector"),
        "PIXSCALE": (0.389, "[arcsec/pixel]"),
    }


def _request(exposure: Exposure, calibration: bool) -> Cards:
    return {
        "PROPID": ("calibrate" if calibration else exposure.proposal, "Proposal"),
        "USERID": ("demo.observer", "User"),
        "GROUPID": (f"{exposure.target} monitoring", "Group"),
        "OBSID": ("UNSPECIFIED", "Observation"),
        "OBSNOTE": ("N/A", "Note"),
        "TRACKNUM": ("UNSPECIFIED" if calibration else "0001402233", "Number of the request group"),
        "REQNUM": ("UNSPECIFIED" if calibration else f"{3300000 + exposure.number:010d}", "Request"),
        "MOLUID": (str(860000000 + exposure.number), "Configuration"),
        "BLKUID": (str(610000000 + exposure.number // 20), "Block of observations"),
        "OBJECT": (exposure.target, "What was looked at"),
        "ORIGNAME": (f"{exposure.name('e00')}.fits", "Name the camera gave"),
    }


def _pointing(exposure: Exposure) -> Cards:
    right_ascension = Angle(exposure.ra, "deg").to_string("hourangle", sep=":", precision=3, pad=True)
    declination = Angle(exposure.dec, "deg").to_string("deg", sep=":", precision=2, pad=True, alwayssign=True)
    return {
        "RA": (str(right_ascension), "[HH:MM:SS.sss] Where the telescope pointed"),
        "DEC": (str(declination), "[sDD:MM:SS.ss] Where the telescope pointed"),
        "RADESYS": ("ICRS", "Coordinate system"),
        "CAT-EPOC": (2000.0, "[yr] Epoch"),
        "ROTSKYPA": ("N/A", "[deg] Position angle"),
        "AIRMASS": (round(1.02 + exposure.number % 50 / 100, 4), "Mean airmass"),
    }


def _weather(number: int) -> Cards:
    return {
        "WMSTEMP": (round(12 + number % 9 / 10, 1), "[deg C] Outside"),
        "WMSHUMID": (41.5, "[%] Outside"),
        "WINDSPEE": (round(8 + number % 13 / 2, 1), "[km/h]"),
        "WMSRAIN": ("CLEAR", "Rain"),
        "MOONFRAC": (0.42, "Lit part of the Moon"),
        "AGSTATE": ("GUIDING_CLOSED_LOOP", "Autoguider"),
        "AGFWHM": ("UNKNOWN", "[arcsec] Autoguider"),
    }


def _add_reduction(made: fits.Header, exposure: Exposure) -> None:
    """Add what the reduction writes: its level, its calibration frames, and when the frame becomes public."""
    camera, day = exposure.telescope.camera, exposure.day
    site = exposure.telescope.site
    public = exposure.start + timedelta(days=365)
    made["RLEVEL"] = (exposure.level, "Reduction level")
    made["PIPEVER"] = ("1.14.2", "Version of the reduction")
    made["L1PUBDAT"] = (public.isoformat(timespec="milliseconds"), "[UTC] Public from")
    made["L1IDBIAS"] = (f"{site}-{camera}-{day}-bias-bin1x1.fits", "Bias frame used")
    made["L1IDDARK"] = (f"{site}-{camera}-{day}-dark-bin1x1.fits", "Dark frame used")
    made["L1IDFLAT"] = (f"{site}-{camera}-{day}-skyflat-bin1x1-{exposure.filter}.fits", "Flat field used")
    made["L1IDMASK"] = (f"{site}-{camera}-20260101-bpm-bin1x1.fits", "Bad-pixel mask used")
    made["L1IDFRNG"] = ("N/A", "Fringe frame used")
    made["HISTORY"] = "Bias, dark and flat field taken out."
