"""The documentation names everything that is there, names nothing that is not, and its examples run."""

import argparse
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ingester_app.cli import main as ingester
from ingester_app.settings import ServiceSettings
from ingester_demo import local, serve
from lco_ingester import store_errors
from lco_ingester.cli import _parser as lco_ingest_frame
from lco_ingester.exceptions import IngesterError
from tests.conftest import external_services_environment
from tests.support.servers import running_archive, running_s3

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path: path.read_text()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "tests/*.md")
    for path in ROOT.glob(pattern)
}
README = PAGES[ROOT / "README.md"]
CODE = {
    path: path.read_text()
    for folder in ("lco_ingester", "ingester_app")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if path.name != "__init__.py"
}

METRIC_CALL = re.compile(r'\b(send|timed|count)\(\s*"((?:ingester|archive)[a-z0-9_.]*)"')
REASON_IN_CODE = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')
PROGRAMS = {"celery", "cp", "curl", "docker", "export", "grep", "install", "pip", "rabbitmq-diagnostics", "rabbitmqctl"}
OF_THE_SCRIPTS = {"WORKER_CONCURRENCY", "FLOWER_PORT", "PYTHON", "VENV"}


def page(name: str) -> str:
    return PAGES[ROOT / "docs" / name]


def metrics() -> set[str]:
    """Every metric that the code sends."""
    calls = {call for text in CODE.values() for call in METRIC_CALL.findall(text)}
    return {f"{name}.runtime" if how == "timed" else name for how, name in calls}


def errors(base: type[IngesterError] = IngesterError) -> Iterator[type[IngesterError]]:
    """The class and all below it."""
    yield base
    for child in base.__subclasses__():
        yield from errors(child)


def reasons_of_the_service() -> set[str]:
    """The reason codes that are no error's own."""
    places = (
        ROOT / "ingester_app" / "listener.py",
        ROOT / "ingester_app" / "retry.py",
        ROOT / "ingester_app" / "dead_letters.py",
    )
    return {code for place in places for code in REASON_IN_CODE.findall(CODE[place])}


def options(command: click.Command, path: str = "ingester") -> dict[str, set[str]]:
    """The options of a command and of those below it, by what one types."""
    own = {name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts}
    found = {path: own | {"-h", "--help"}}
    for name, below in getattr(command, "commands", {}).items():
        found |= options(below, f"{path} {name}")
    return found


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser and of its subcommands."""
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        for below in (action.choices or {}).values() if isinstance(action, argparse._SubParsersAction) else ():
            found |= options_of(below)
    return found


def options_in_help(module: str) -> set[str]:
    """The options that `python -m MODULE --help` names."""
    command = [sys.executable, "-m", module, "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown.stdout))


INGESTER = options(ingester)
PARSERS = {
    "ingester_demo serve": options_of(serve.parser()),
    "ingester_demo": options_of(local.parser()),
    **{module: options_in_help(module) for module in ("benchmarks", "tests.faults", "tests.simulation")},
}
OPTIONS = {"lco_ingest_frame": options_of(lco_ingest_frame()), **INGESTER}


def blocks(language: str, text: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


SHELL_LINES = [
    pytest.param(line.strip(), id=f"{path.name}: {line.strip()}")
    for path, text in PAGES.items()
    for block in blocks("sh", text)
    for line in block.splitlines()
    if line.strip()
]


def test_every_setting_is_in_one_table_once() -> None:
    text = page("settings.md")
    assert [field for field in ServiceSettings.model_fields if text.count(f"| `{field.upper()}` |") != 1] == []


def test_the_readme_has_the_few_settings_that_everybody_needs() -> None:
    table = README.partition("<!-- settings that everybody needs -->")[2].partition("<!-- end of settings -->")[0]
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \|", table, re.MULTILINE)
    assert len(rows) == 14
    assert {"API_ROOT", "AUTH_TOKEN", "BUCKET", "FITS_BROKER", "BROKER_URL", "DATA_ROOTS"} <= set(rows)


def test_the_tables_of_settings_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}run: python -m docs.generate"


def test_whatever_is_secret_says_so() -> None:
    for name, field in ServiceSettings.model_fields.items():
        secret = "SecretStr" in str(field.annotation)
        assert (field.description or "").endswith("Secret.") == secret, name
        [row] = [line for line in page("settings.md").splitlines() if line.startswith(f"| `{name.upper()}` |")]
        assert ("**Secret.**" in row) == secret


def test_every_metric_of_the_code_is_described_and_no_other() -> None:
    described = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", page("metrics.md"), re.MULTILINE))
    assert len(metrics()) > 9
    assert described == metrics()


def test_every_error_and_its_reason_code_are_described() -> None:
    text = page("errors.md")
    missing = [each.__name__ for each in errors() if f"`{each.__name__}`" not in text and each is not IngesterError]
    assert missing == []
    assert [each.reason for each in errors() if f"`{each.reason}`" not in text] == []


def test_every_leaf_stands_under_its_own_kind_of_trouble() -> None:
    headings = {
        "frame": "The frame",
        "file not ready": "The file is not ready",
        "server": "A server",
        "deployment": "The deployment",
    }
    for each in errors():
        if "reason" not in vars(each) or each.reason in ("INGESTER_ERROR", "ALREADY_ARCHIVED"):
            continue
        [section] = [
            part for part in page("errors.md").split("\n## ") if f"| `{each.reason}` | `{each.__name__}`" in part
        ]
        assert section.startswith(headings[each.failure_kind.value]), each.reason


def test_the_reason_codes_of_the_service_are_described() -> None:
    codes = reasons_of_the_service()
    assert {"PROGRAM_ERROR", "DELIVERY_LIMIT", "MESSAGE_UNREADABLE"} <= codes
    assert [code for code in codes if f"`{code}`" not in page("errors.md")] == []


def test_no_reason_code_is_described_that_the_code_does_not_know() -> None:
    described = set(re.findall(r"^\| `([A-Z]+(?:_[A-Z]+)+)` \|", page("errors.md"), re.MULTILINE))
    assert described <= {each.reason for each in errors()} | reasons_of_the_service()


def test_the_codes_of_s3_are_described_with_what_they_become() -> None:
    section = page("errors.md").split("## Answers of S3")[1].split("\n## ")[0]
    rows = [row.split("|") for row in section.splitlines() if row.startswith("| ")]
    described = {
        becomes.strip(): set(re.findall(r"`(\w+)`", answer)) for _, answer, becomes, _ in rows if "`" in becomes
    }
    refused = described["`STORE_REFUSED`"] | described["`FILE_TOO_LARGE`"]
    assert refused == store_errors.FRAME_CODES
    assert described["`FILE_CHANGED`"] == store_errors.CHECKSUM_CODES
    server = next(row for row in rows if "SlowDown" in row[1])[1]
    assert set(re.findall(r"`(\w+)`", server)) == store_errors.SERVER_CODES
    assert set(map(int, re.findall(r"\b4\d\d\b", server))) == store_errors.SERVER_STATUSES


@pytest.mark.parametrize("command", OPTIONS)
def test_every_command_and_option_is_in_the_readme(command: str) -> None:
    assert command in README
    assert [option for option in OPTIONS[command] if f"`{option}" not in README and f" {option}" not in README] == []


@pytest.mark.parametrize("here", PAGES, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(here: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", PAGES[here]):
        place = (here.parent / target).resolve() if target else here
        assert place.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(place), f"no heading #{anchor} in {place.name}"


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    following = [ROOT / "README.md"]
    while following:
        here = following.pop()
        if here in seen:
            continue
        seen.add(here)
        targets = re.findall(r"\]\((?!https?:)([^)#]+\.md)", here.read_text())
        following += [(here.parent / target).resolve() for target in targets]
    assert seen == set(PAGES)


@pytest.mark.parametrize("line", SHELL_LINES)
def test_shell_examples_name_what_is_there(line: str) -> None:
    words = [word for word in shlex.split(line, comments=True) if word != "&"]
    while words and re.match(r"[A-Z_0-9]+=", words[0]):
        known_variable(words.pop(0))
    known_program(words)
    if "--env-file" in words:
        assert (ROOT / words[words.index("--env-file") + 1]).exists()


def known_program(words: list[str]) -> None:
    """The program is there, and so are its options if it is one of ours."""
    match words:
        case ["export", *assignments]:
            for assignment in assignments:
                known_variable(assignment)
        case ["python", "-m", module, *arguments]:
            assert importlib.util.find_spec(module) is not None
            name = next((name for name in PARSERS if " ".join([module, *arguments]).startswith(name)), None)
            if name:
                known_options(arguments, PARSERS[name])
        case ["python", script, *_]:
            assert (ROOT / script).exists()
        case ["lco_ingest_frame", *arguments]:
            known_options(arguments, OPTIONS["lco_ingest_frame"])
        case ["ingester", *arguments]:
            names = [word for word in arguments[:2] if not word.startswith("-")]
            known_options(arguments, INGESTER[" ".join(["ingester", *names])])
        case [script, *arguments] if script.startswith("./"):
            assert (ROOT / script).exists()
            known_options([word for word in arguments if word != "-k"], {"--demo", "--keep", "--oldest", "--upgrade"})
        case [program, *_]:
            assert program in PROGRAMS, f"who knows {program}?"


def known_variable(assignment: str) -> None:
    name = assignment.partition("=")[0]
    assert name.lower() in ServiceSettings.model_fields or name in OF_THE_SCRIPTS, name


def known_options(arguments: list[str], known: set[str]) -> None:
    given = {word.partition("=")[0] for word in arguments if word.startswith("-")}
    assert given <= known, f"no such option: {given - known}"


def test_the_examples_in_python_can_be_compiled() -> None:
    for path, text in PAGES.items():
        for block in blocks("python", text):
            compile(block, str(path), "exec")


@pytest.fixture
def new_external_services(clean_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Servers of our own: the session's may hold the very frames of the examples."""
    with running_archive(tmp_path) as archive, running_s3() as store:
        for name, value in external_services_environment(archive, store).items():
            monkeypatch.setenv(name, value)
        yield


def test_the_readmes_examples_in_python_do_what_it_says(
    new_external_services: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "frames").mkdir()
    monkeypatch.chdir(tmp_path / "frames")
    frames, all_in_one, step_by_step = blocks("python", README)
    exec(frames, {})
    assert len(list(Path().iterdir())) == 3
    exec(all_in_one, {})
    assert re.fullmatch(r"\d+ coj1m011-fa12-20261122-0001-e00.fits http\S+\n", capsys.readouterr().out)
    exec(all_in_one, {})
    assert capsys.readouterr().out == "these bytes are archived already\n"
    exec(step_by_step, {})
    assert re.fullmatch(r"\d+ \{'type': 'Polygon'.*\}\n", capsys.readouterr().out)


def test_requirements_and_project_ask_for_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    listed = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    wanted = sorted([*project["dependencies"], *(each for extra in extras for each in extra)])
    assert sorted(line for line in listed if line and not line.startswith("-e")) == wanted


def test_every_requirement_says_what_it_is_for() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#") and "#" not in line] == []
