"""A part of the sky on the tangent plane at its centre, where great circles are straight lines."""

import math

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Plane = npt.NDArray[np.complex128]
"""Points x + iy: x to the east and y to the north, in radians near the centre."""

_WIDEST = 80.0  # degrees from the centre; from 90 on a polygon and the rest of the sky look the same
# PostGIS looks for a point outside a polygon outside the polygon's box in x, y and z. If the box contains the centre of
# the sphere, it finds none, and uses the complement of the polygon. This may happen for areas of more than 70 degrees.
_MARGIN = 0.02


def on_plane(positions: Points, outline: int) -> Plane:
    """Positions (RA, Dec in degrees) on the tangent plane at the centre of the first `outline` of them.

    Raises ValueError if they do not fit on it.
    """
    ra, dec = np.radians(positions).T
    vectors = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    if (vectors.min(axis=1) < _MARGIN).all() and (vectors.max(axis=1) > -_MARGIN).all():
        raise ValueError(
            "its image is too large for a geography: it has points on all sides of the centre of the sphere"
        )
    middle = vectors[:, :outline].mean(axis=1)
    middle /= max(float(np.linalg.norm(middle)), 1e-9)
    depth = middle @ vectors
    if depth.min() < math.cos(math.radians(_WIDEST)):
        raise ValueError(f"its image reaches farther than {_WIDEST:.0f} degrees from its centre")
    x, y, z = middle
    turn = math.atan2(y, x)
    east = np.array([-math.sin(turn), math.cos(turn), 0.0])
    north = np.array([-z * math.cos(turn), -z * math.sin(turn), math.hypot(x, y)])
    # Subtract the centre first, so that an image of a few arcseconds keeps its precision.
    offsets = vectors - middle[:, None]
    plane: Plane = (east @ offsets + 1j * (north @ offsets)) / depth
    return plane


def inside(points: Plane, ring: Plane) -> npt.NDArray[np.bool_]:
    """Whether each point is inside a closed ring: a ray to the east then crosses it an odd number of times.

    The ring's last point is its first.
    """
    above = ring.imag > points.imag[:, None]
    point, edge = np.nonzero(above[:, 1:] != above[:, :-1])
    start, chord = ring[edge], ring[edge + 1] - ring[edge]
    crossing = start.real + (points.imag[point] - start.imag) * chord.real / chord.imag
    crossings = np.bincount(point[points.real[point] < crossing], minlength=len(points))
    return np.asarray(crossings % 2 == 1)


def bow(curve: Plane) -> float:
    """The largest distance of a curve from the straight line between its ends."""
    offsets, chord = curve - curve[0], curve[-1] - curve[0]
    along = (offsets * chord.conjugate()).real / max(abs(chord) ** 2, 1e-300)
    return float(abs(offsets - along.clip(0.0, 1.0) * chord).max())
