"""The path and the md5 of every state of a frame."""

from hypothesis import given

from lco_ingester.frame import Frame, InArchive, Uploaded, md5_of, path_of
from tests.support.strategies import FRAMES


@given(FRAMES)
def test_every_frame_knows_its_path_and_all_but_a_name_their_md5(frame: Frame) -> None:
    inside = frame.validated if isinstance(frame, (Uploaded, InArchive)) else frame
    assert path_of(frame) == inside.path
    assert md5_of(frame) == getattr(inside, "md5", None)
