"""A file's name → basename and extension (docs/record.md, "Names")."""

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lco_ingester.file.datafile import split_name

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@pytest.mark.parametrize(
    ("path", "basename", "extension"),
    [
        ("a-e00.fits", "a-e00", ".fits"),
        ("a-e00.fits.fz", "a-e00", ".fits.fz"),
        ("LCO2020A_1_ftn_20200102.tar.gz", "LCO2020A_1_ftn_20200102", ".tar.gz"),
        ("/archive/engineering/a-e00.fits", "a-e00", ".fits"),
        ("/data.v2/night.1/a-e00.fits", "a-e00", ".fits"),
        ("a-e00", "a-e00", ""),
        (".hidden", ".hidden", ""),
        (".hidden.fits", ".hidden", ".fits"),
        ("a-e00.", "a-e00", "."),
        ("a b.FITS", "a b", ".FITS"),
    ],
)
def test_a_name_is_split_at_its_first_dot(path: str, basename: str, extension: str) -> None:
    assert split_name(path) == (basename, extension)


@given(NAMES)
def test_basename_and_extension_together_are_the_name(name: str) -> None:
    basename, extension = split_name(f"/some.where/{name}")
    assert basename + extension == PurePath(name).name
    assert basename != ""
    assert extension == "" or extension.startswith(".")
    assert "." not in basename[1:]
