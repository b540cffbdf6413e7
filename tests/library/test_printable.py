"""What came from outside cannot give orders to a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lco_ingester.printable import printable

ANY = st.text(st.characters(exclude_categories=()))  # also surrogates


@given(ANY)
def test_any_text_becomes_one_line_without_control_characters_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert isinstance(shown.encode(), bytes)
    assert printable(shown) == shown


@given(ANY)
def test_what_is_kept_is_kept(text: str) -> None:
    assert printable(text, keep="\n").replace("\n", "").isprintable()
    assert printable(text, keep="\n").count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/żółw Ω.fits", "/data/żółw Ω.fits"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\r\u2028\x85", r"a\nb\r\u2028\x85"),
        ("\u202egpj.fits", r"\u202egpj.fits"),
        ("\udcff", r"\udcff"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert printable(text) == shown
