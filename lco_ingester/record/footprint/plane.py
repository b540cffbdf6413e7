"""A part of the sky on the plane that touches it in the middle: there great circles are straight lines."""

import math

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Plane = npt.NDArray[np.complex128]
"""Points x + iy: x to the east and y to the north, in radians near the middle."""

_WIDEST = 80.0  # degrees from the middle; from 90 on nothing tells a polygon from the rest of the sky
# PostGIS looks for a point that is not in a polygon outside its box in x, y and z. It finds none, and takes the
# polygon for its complement, if the box holds the middle of the sphere: an area of more than 70 degrees may do that.
_MARGIN = 0.02


def on_plane(positions: Points, outline: int) -> Plane:
    """These positions (RA, Dec in degrees) in the plane that touches the sky in the middle of the first `outline`.

    Raises ValueError if they do not fit on it.
    """
    ra, dec = np.radians(positions).T
    vectors = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    if (vectors.min(axis=1) < _MARGIN).all() and (vectors.max(axis=1) > -_MARGIN).all():
        raise ValueError("its image is too large for a geography: it has points on all sides of the sphere's middle")
    middle = vectors[:, :outline].mean(axis=1)
    middle /= max(float(np.linalg.norm(middle)), 1e-9)
    depth = middle @ vectors
    if depth.min() < math.cos(math.radians(_WIDEST)):
        raise ValueError(f"its image reaches farther than {_WIDEST:.0f} degrees from the middle")
    x, y, z = middle
    turn = math.atan2(y, x)
    east = np.array([-math.sin(turn), math.cos(turn), 0.0])
    north = np.array([-z * math.cos(turn), -z * math.sin(turn), math.hypot(x, y)])
    # The difference from the middle is taken first: an image of a few arcseconds keeps its digits.
    offsets = vectors - middle[:, None]
    plane: Plane = (east @ offsets + 1j * (north @ offsets)) / depth
    return plane


def inside(points: Plane, ring: Plane) -> npt.NDArray[np.bool_]:
    """Which points a closed ring encloses: those from which a ray to the east crosses it an odd number of times.

    The ring's last point is its first.
    """
    above = ring.imag > points.imag[:, None]
    point, edge = np.nonzero(above[:, 1:] != above[:, :-1])
    start, chord = ring[edge], ring[edge + 1] - ring[edge]
    crossing = start.real + (points.imag[point] - start.imag) * chord.real / chord.imag
    crossings = np.bincount(point[points.real[point] < crossing], minlength=len(points))
    return np.asarray(crossings % 2 == 1)


def bow(curve: Plane) -> float:
    """How far a curve leaves the straight line between its ends."""
    offsets, chord = curve - curve[0], curve[-1] - curve[0]
    along = (offsets * chord.conjugate()).real / max(abs(chord) ** 2, 1e-300)
    return float(abs(offsets - along.clip(0.0, 1.0) * chord).max())
