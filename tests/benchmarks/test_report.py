"""Medians, tables, the model and the frames of the benchmarks."""

import os
from pathlib import Path

import pytest
from astropy.io import fits

from benchmarks import model, report
from benchmarks.environments import ROOT
from benchmarks.frames import KINDS, make_frame
from benchmarks.goals import goals
from benchmarks.measure import median, percentile, spread
from benchmarks.memory import WORKER
from benchmarks.processes import Meter
from benchmarks.tables import as_csv, markdown, medians, pivot
from benchmarks.variants import parsed

SMALL = [kind for kind in KINDS if kind.size == "100 KB"]
MACHINE = {
    "date": "2026-11-24 00:00 UTC", "commit": "abc", "cores": 2, "processor": "a processor", "memory_gb": 25.0,
    "system": "Linux", "python": "3.11", "rabbitmq": "3.10", "versions": {"ours": {"astropy": "8"}},
    "busy_before": 0.0, "quick": False, "note": "",
}  # fmt: skip


def run(
    contender: str, workers: int, files_per_s: float, busy: float = 1.9, frame: str = "100 KB .fits"
) -> dict[str, object]:
    return {
        "contender": contender, "frame": frame, "workers": workers, "frames": 100,
        "seconds": 100 / files_per_s, "files_per_s": files_per_s, "busy_cores": busy,
        "listener ms": 1.0, "worker ms": 8.0, "RabbitMQ ms": 2.0,
    }  # fmt: skip


def test_a_median_is_not_moved_by_an_outlier() -> None:
    assert median([3, 1, 1000]) == 3
    assert median([1, 2, 3, 1000]) == 2.5
    assert spread([9, 10, 11, 1000]) == 1.0
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile(range(1, 101), percent) for percent in (0, 50, 95, 100)] == [1, 50, 95, 100]
    assert percentile([7.0], 95) == 7.0


def test_rounds_of_one_run_become_their_median() -> None:
    rows = [run("ours", 2, speed) for speed in (90.0, 100.0, 30.0)] + [run("lco", 2, 15.0)]
    found = medians(rows, ("contender", "frame", "workers"))
    assert [(row["contender"], row["files_per_s"]) for row in found] == [("ours", 90.0), ("lco", 15.0)]


def test_a_table_has_a_cell_for_each_value_and_an_empty_one_where_none_was_measured() -> None:
    rows = pivot(
        [
            {"frame": "small", "contender": "floor", "cpu_ms": 2.25},
            {"frame": "small", "contender": "ours", "cpu_ms": 12.34},
            {"frame": "large", "contender": "floor", "cpu_ms": 123.4},
        ],
        "frame", "contender", "cpu_ms",
    )  # fmt: skip
    assert markdown(rows).splitlines() == [
        "| frame | floor | ours |",
        "| --- | ---: | ---: |",
        "| small | 2.25 | 12.3 |",
        "| large | 123 |  |",
    ]
    assert as_csv(rows).splitlines() == ["frame,floor,ours", "small,2.25,12.34", "large,123.4,"]


def test_the_page_says_which_resource_is_full_and_what_makes_it_preliminary() -> None:
    section = {"machine": MACHINE, "rows": [run("ours", 1, 60.0, 1.2), run("ours", 2, 90.0)], "latency": []}
    text = report.page({"service": section})
    assert "fastest with 2 workers, 90 files/s" in text
    assert "the machine's 2 cores are full" in text
    assert "Preliminary" not in text
    loaded = {**MACHINE, "busy_before": 1.3}
    assert "**Preliminary: other processes kept 1.3 cores busy before it.**" in report.page(
        {"service": {**section, "machine": loaded}}
    )


def test_a_check_that_was_not_measured_has_an_empty_cell() -> None:
    pieces = [{"contender": "ours", "frame": "2 MB .fits, checksums", "md5": 2.5, "plain cards": 0.5}]
    library = {"machine": MACHINE, "rows": [{"frame": "2 MB .fits", "contender": "ours"}], "pieces": pieces}
    text = report.page({"library": library})
    assert "| md5, for S3 and the archive | 2.50 |" in text
    assert "| cards | 0.50 |" in text
    assert "| characters of the headers |  |" in text


def test_a_large_frame_is_compared_with_the_floor() -> None:
    floor = {"frame": "34 MB .fits", "contender": "floor", "cpu_ms": 80.0}
    runs = [run("ours", 2, 90.0), run("ours", 2, 9.0, frame="34 MB .fits")]
    service = {"machine": MACHINE, "rows": runs, "latency": []}
    text = report.page({"library": {"machine": MACHINE, "rows": [floor], "pieces": []}, "service": service})
    assert "For 34 MB .fits ours takes 8 ms of CPU in a worker; the floor" in text
    assert "took 80 ms" in text


def test_the_report_that_is_kept_can_be_written_again() -> None:
    assert report.page(report.load(ROOT / "docs" / "performance")) == (
        (ROOT / "docs" / "performance" / "results.md").read_text()
    )


def test_a_goal_is_met_or_not() -> None:
    library = [
        {"frame": "100 KB .fits", "contender": "ours", "lco_over_it": 6.1, "of_floor": 2.0},
        {"frame": "34 MB .fits", "contender": "ours", "lco_over_it": 1.5, "of_floor": 1.2},
    ]
    memory = [
        {"contender": WORKER, "file_mb": 4.0, "peak_mib": 100.0},
        {"contender": WORKER, "file_mb": 4000.0, "peak_mib": 158.0},
        {"contender": WORKER, "file_mb": 6000.0, "peak_mib": 200.0},
        {"contender": "lco-ingester 2.1.15", "file_mb": 4000.0, "left_out": "no memory"},
    ]
    service = {"rows": [run("ours", 2, 90.0), run("lco-ingester 2.1.15", 2, 15.0)], "latency": []}
    found = goals({"library": {"rows": library}, "memory": {"rows": memory}, "service": service})
    assert [(row["measured"], row["kept"]) for row in found] == [
        (6.1, "yes"), (1.2, "**no**"), (6.0, "yes"), (58.0, "**no**")
    ]  # fmt: skip


def test_the_model_grows_with_the_workers_until_a_shared_part_is_full() -> None:
    measured = model.of_runs({"rows": [run("ours", 1, 60.0), run("ours", 2, 90.0)]}, "ours")
    assert measured.one_worker == 60.0
    one, ten, hundred = model.rows(measured)
    assert ten["files/s with real services"] == pytest.approx(10 * one["files/s with real services"])
    assert hundred["files/s with real services"] == min(model.limits(measured).values())
    assert (one["limit"], hundred["limit"]) == ("waiting of the workers", "Archive API")
    # 11 ms of CPU a frame: 1e6 frames take 3.06 hours of a core
    assert one["USD of cores for a million"] == pytest.approx(11_000 / 3600 * model.CORE_PRICE.value)
    assert all(assumption.source for assumption in model.ASSUMPTIONS)


@pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.label)
def test_a_frame_has_the_size_and_the_header_of_a_real_one(tmp_path: Path, kind) -> None:
    path = make_frame(tmp_path, kind)
    assert path.stat().st_size == pytest.approx(kind.bytes, rel=0.05)
    with fits.open(path, disable_image_compression=not kind.packed, checksum=False) as hdus:
        header = hdus[-1].header
        assert len(header) == pytest.approx(834, abs=30)  # in a packed one the table's keywords come and go
        assert len(set(header) - {"HISTORY", "COMMENT", ""}) == pytest.approx(302, abs=3)
        assert header["CTYPE1"] == "RA---TAN-SIP"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind.summed], ids=lambda kind: kind.label)
def test_the_checksums_of_a_frame_are_right(tmp_path: Path, kind) -> None:
    with fits.open(make_frame(tmp_path, kind), disable_image_compression=True, checksum=True) as hdus:
        assert all({"CHECKSUM", "DATASUM"} <= set(hdu.header) for hdu in hdus)
        assert all(hdu.data is None or len(hdu.data) > 0 for hdu in hdus)  # which is when astropy compares them


def test_a_variant_of_settings_that_do_not_exist_is_refused() -> None:
    assert parsed("small bucket:BUCKET=b,API_TIMEOUT=11").variables == {"BUCKET": "b", "API_TIMEOUT": "11"}
    with pytest.raises(ValueError, match="no such setting: VALIDASHUN"):
        parsed("strict:VALIDASHUN=strict")
    with pytest.raises(ValueError, match="NAME:VARIABLE=VALUE"):
        parsed("strict")


def test_a_meter_sees_the_work_of_a_process() -> None:
    meter = Meter({"this": os.getpid(), "gone": 2**22 - 1})
    while meter.used()["harness"] < 0.05:
        pass
    used = meter.used()
    assert 0 < used["this"] <= used["harness"] + 0.02
    assert used["gone"] == 0
    assert 0 <= meter.busy_cores() <= (os.cpu_count() or 1) + 0.5
