"""Real frames and the records that the observatory's released client posted for them."""

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lco_ingester.file.datafile import PathFile
from lco_ingester.metrics import Metrics
from lco_ingester.steps import read_frame, stored_object, version_set
from tests.support.synthetic import ROOT, checks, rules

EXAMPLES = ROOT.parent / "shared" / "spec" / "examples"
FRAMES = sorted(path.with_suffix("") for path in EXAMPLES.glob("*.json"))

NOT_HERE = (
    "the observatory's real frames are not beside this checkout; "
    "test_records_by_rule.py covers the same rules with synthetic frames"
)

pytestmark = pytest.mark.skipif(not FRAMES, reason=NOT_HERE)


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where two JSON values differ; numbers may by 1e-9 of their size."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted(expected.keys() | found.keys())
        pairs = [(expected.get(key, "absent"), found.get(key, "absent"), f"{where}/{key}") for key in keys]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = [
            (one, other, f"{where}/{index}") for index, (one, other) in enumerate(zip(expected, found, strict=True))
        ]
    elif isinstance(expected, float) and type(found) in (int, float):
        return [] if math.isclose(expected, found, rel_tol=1e-9) else [f"{where}: {expected} != {found}"]
    else:
        return [] if (type(expected), expected) == (type(found), found) else [f"{where}: {expected!r} != {found!r}"]
    return [line for pair in pairs for line in differences(*pair)]


@pytest.mark.parametrize(("form", "record"), [("lco", "record"), ("ocs", "ocs_record")])
@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.name)
def test_an_example_frame_gives_its_record_and_its_s3_object(path: Path, form: str, record: str) -> None:
    expected = json.loads(path.with_name(path.name + ".json").read_text())
    validated = read_frame(PathFile(str(path)), rules(archive_record_format=form), checks(), Metrics.off())
    stored = stored_object(validated, datetime.fromisoformat("2026-11-01"))
    assert differences(expected[record], validated.record) == []
    assert expected["version_set"] == version_set("<VersionId>", validated.md5, validated.extension)
    assert expected["s3"] == {
        "key": stored.key,
        "ContentType": stored.content_type,
        "ContentDisposition": stored.content_disposition,
        "StorageClass": stored.storage_class,
    }
