"""Of a raw header only the cards that are needed are read, whatever stands around them."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lco_ingester.exceptions import ChecksumError
from lco_ingester.file.headers.raw_header import RawHeader
from tests.support.synthetic import compressed, headers_of, image, in_blocks

ASKED = [
    "SIMPLE", "BITPIX", "ZBITPIX", "NAXIS", "NAXIS1", "NAXIS999", "ZNAXIS", "ZNAXIS2", "PCOUNT", "GCOUNT",
    "GROUPS", "TFIELDS", "ZIMAGE", "NEXTEND", "CHECKSUM", "DATASUM",
]  # fmt: skip
OTHERS = ["", "HISTORY", "COMMENT", "OBJECT", "TELESCOP", "END-", "\x00\xff", "É"]


def raw_header(cards: list[tuple[str, str]], rest: int = 0) -> RawHeader:
    lines = (f"{keyword:8}= {value}" for keyword, value in cards)
    return RawHeader(1, 0, in_blocks("XTENSION= 'BINTABLE'", *lines) + b" " * rest)


def test_nobody_asks_for_a_keyword_that_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    text = RawHeader.text
    monkeypatch.setattr(RawHeader, "text", lambda header, keyword: (asked.add(keyword), text(header, keyword))[1])  # type: ignore[func-returns-value]
    for content in (compressed(), image({"NEXTEND": 0, "CHECKSUM": "0"}) + b"more"):
        with suppress(ChecksumError):
            headers_of(content)
    assert len(asked) >= 14
    assert all(raw_header([(keyword, "1")]).text(keyword) == "1" for keyword in asked)


@pytest.mark.parametrize("keyword", ASKED)
def test_a_keyword_is_found_in_either_case(keyword: str) -> None:
    assert raw_header([("OBJECT", "'x'"), (keyword.lower(), "'Mixed Case'")]).text(keyword) == "Mixed Case"


@given(
    st.lists(
        st.tuples(st.sampled_from([*ASKED, *OTHERS]), st.text(st.characters(max_codepoint=255), max_size=70)),
        unique_by=lambda card: card[0] or object(),
        max_size=60,
    ),
    st.integers(0, 79),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_card_is_read_whatever_stands_around_it(cards: list[tuple[str, str]], rest: int) -> None:
    found = raw_header(cards, rest)
    for keyword in ASKED:
        alone = [card for card in cards if card[0] == keyword]
        assert found.text(keyword) == raw_header(alone).text(keyword)
        assert alone or found.text(keyword) is None


@pytest.mark.timeout(20)
def test_a_header_of_many_blocks_takes_no_longer_by_the_block() -> None:
    assert raw_header([("OBJECT", "'x'")] * 200_000).text("NAXIS") is None
