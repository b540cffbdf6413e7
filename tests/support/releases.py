"""Earlier releases of the ingester, kept as zip files, for tests of an upgrade. They need no git history."""

import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "service" / "releases"


def unpack_release(version: str, directory: Path) -> Path:
    """The code of a release below `directory`: a folder to start its programs in."""
    code = directory / version
    with zipfile.ZipFile(FOLDER / f"{version}.zip") as archive:
        archive.extractall(code)
    return code
