"""A part of the sky on the plane that touches it in the middle: there great circles are straight lines."""

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

_WIDEST = 80.0  # degrees from the middle; from 90 on nothing tells a polygon from the rest of the sky
# PostGIS looks for a point that is not in a polygon outside its box in x, y and z. It finds none, and takes the
# polygon for its complement, if the box holds the middle of the sphere: an area of more than 70 degrees may do that.
_MARGIN = 0.02


def on_plane(positions: Points, outline: int) -> Points:
    """These positions (RA, Dec in degrees) in the plane that touches the sky in the middle of the first `outline`.

    Raises ValueError if they do not fit on it.
    """
    ra, dec = np.radians(positions).T
    vectors = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    if (vectors.min(axis=0) < _MARGIN).all() and (vectors.max(axis=0) > -_MARGIN).all():
        raise ValueError("its image is too large for a geography: it has points on all sides of the sphere's middle")
    middle = vectors[:outline].mean(axis=0)
    middle /= max(float(np.linalg.norm(middle)), 1e-9)
    depth = vectors @ middle
    if depth.min() < np.cos(np.radians(_WIDEST)):
        raise ValueError(f"its image reaches farther than {_WIDEST:.0f} degrees from the middle")
    east = np.cross(np.eye(3)[np.argmin(np.abs(middle))], middle)
    east /= np.linalg.norm(east)
    # The difference from the middle is taken first: an image of a few arcseconds keeps its digits.
    offsets = vectors - middle
    plane: Points = np.column_stack([offsets @ east, offsets @ np.cross(middle, east)]) / depth[:, None]
    return plane


def inside(points: Points, ring: Points) -> npt.NDArray[np.bool_]:
    """Which points a closed ring encloses: those from which a ray crosses it an odd number of times."""
    (x, y), (x1, y1) = points.T[:, :, None], ring.T[:, None, :]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    straddles = (y1 > y) != (y2 > y)
    rise = np.where(straddles, y2 - y1, 1.0)
    crossed = straddles & (x < x1 + (y - y1) * (x2 - x1) / rise)
    return np.asarray(crossed.sum(axis=1) % 2 == 1)


def bow(curve: Points) -> float:
    """How far a curve leaves the straight line between its ends."""
    start, chord = curve[0], curve[-1] - curve[0]
    along = np.clip((curve - start) @ chord / max(float(chord @ chord), 1e-300), 0.0, 1.0)
    return float(np.linalg.norm(curve - start - along[:, None] * chord, axis=1).max())
