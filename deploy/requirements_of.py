"""Print what pyproject.toml requires: the project's own dependencies and those of the extras that are named.

The image's build installs them before it copies the code, so that their layer outlives changes of the code.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for requirement in (
    *project["dependencies"],
    *(each for e in sys.argv[1:] for each in project["optional-dependencies"][e]),
):
    sys.stdout.write(f"{requirement}\n")
