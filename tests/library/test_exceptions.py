"""The tree of errors: every leaf is complete, has its own code, and survives pickling."""

import pickle
import re
from typing import Any

import pytest

from lco_ingester import exceptions
from lco_ingester.exceptions import (
    BackoffRetryError,
    DoNotRetryError,
    FailureKind,
    IngesterError,
    NonFatalDoNotRetryError,
    RetryError,
)

POLICIES = (DoNotRetryError, RetryError, BackoffRetryError, NonFatalDoNotRetryError)
FIELDS: dict[str, Any] = {
    "frame": "a-e00.fits",
    "check": "size",
    "expected": "7 bytes",
    "found": "6",
    "hint": "Copy it again",
    "retry_after": 3.5,
}


def subclasses(base: type[IngesterError]) -> list[type[IngesterError]]:
    return [each for child in base.__subclasses__() for each in (child, *subclasses(child))]


LEAVES = [each for each in subclasses(IngesterError) if each not in POLICIES]


def test_the_leaves_are_those_of_the_module() -> None:
    assert len(LEAVES) > 25
    assert all(getattr(exceptions, leaf.__name__) is leaf for leaf in LEAVES)


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_has_exactly_one_policy(leaf: type[IngesterError]) -> None:
    assert len([policy for policy in POLICIES if issubclass(leaf, policy)]) == 1


@pytest.mark.parametrize("cls", [IngesterError, *POLICIES, *LEAVES])
def test_every_error_survives_pickling_with_all_its_fields(cls: type[IngesterError]) -> None:
    error = pickle.loads(pickle.dumps(cls("it broke", **FIELDS)))
    assert type(error) is cls
    assert {name: getattr(error, name) for name in FIELDS} == FIELDS
    assert (error.detail, error.reason, error.failure_kind) == ("it broke", cls.reason, cls.failure_kind)
    assert str(error) == "a-e00.fits: size: it broke: expected 7 bytes, found 6. Copy it again"


def test_an_error_that_was_changed_on_its_way_up_is_pickled_as_changed() -> None:
    error = RetryError("it broke")
    error.frame = "a-e00.fits"
    assert pickle.loads(pickle.dumps(error)).frame == "a-e00.fits"


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_has_a_code_of_its_own(leaf: type[IngesterError]) -> None:
    assert "reason" in vars(leaf)
    assert re.fullmatch(r"[A-Z][A-Z_]+[A-Z]", leaf.reason)
    assert [other for other in LEAVES if other.reason == leaf.reason] == [leaf]


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_says_in_words_what_it_is(leaf: type[IngesterError]) -> None:
    assert leaf.__doc__
    assert leaf.__doc__ != leaf.__mro__[1].__doc__


def test_codes_are_known_to_others_and_do_not_change() -> None:
    assert {leaf.reason for leaf in LEAVES} >= {
        "FITS_TRUNCATED", "HEADER_MISSING", "FILE_MISSING", "SUPERSEDED", "ARCHIVED_UNDER_ANOTHER_NAME",
        "ARCHIVE_REFUSED", "BUCKET_NOT_VERSIONED", "ALREADY_ARCHIVED",
    }  # fmt: skip


@pytest.mark.parametrize("leaf", LEAVES)
def test_an_error_is_one_line_whatever_is_in_it(leaf: type[IngesterError]) -> None:
    text = str(leaf("line\nline", frame="a\r\nb.fits", found="<html>\n\n<body>\t</body>"))
    assert "\n" not in text
    assert "\r" not in text
    assert "a b.fits" in text


@pytest.mark.parametrize("leaf", LEAVES)
def test_an_error_without_fields_still_says_something(leaf: type[IngesterError]) -> None:
    assert str(leaf())


def test_the_tree_in_the_docstring_lists_every_leaf_with_its_code_and_its_kind() -> None:
    drawn = {}
    for line in str(exceptions.__doc__).splitlines():
        found = re.fullmatch(r"    [│ ]*[├└]── (\w+Error) +([A-Z_]{5,})(?: +(.+))?", line)
        if found:
            drawn[found[1]] = (found[2], found[3])
    silent = (NonFatalDoNotRetryError,)  # nothing is wrong, so nobody must act
    expected = {
        leaf.__name__: (leaf.reason, None if issubclass(leaf, silent) else leaf.failure_kind.value) for leaf in LEAVES
    }
    assert drawn == expected


def test_the_policies_have_the_kinds_of_trouble_that_most_of_their_leaves_have() -> None:
    assert [policy.failure_kind for policy in POLICIES] == [
        FailureKind.FRAME, FailureKind.FILE_NOT_READY, FailureKind.SERVER, FailureKind.FRAME,
    ]  # fmt: skip
