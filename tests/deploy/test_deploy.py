"""The deployment's files agree with the code, as far as can be seen without a container engine."""

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ingester_app.settings import ServiceSettings
from ingester_demo import frames, serve
from lco_ingester.settings import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ROLES = ("listener", "worker", "periodic", "beat", "flower")
SETTINGS = {name.upper() for name in ServiceSettings.model_fields}
OF_THE_CONTAINERS = {
    "WORKER_CONCURRENCY",
    "FLOWER_BASIC_AUTH",
    "FLOWER_URL_PREFIX",
    "RABBITMQ_DEFAULT_USER",
    "RABBITMQ_DEFAULT_PASS",
}
"""Variables inside the containers that are no settings of ours."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def healthcheck() -> ModuleType:
    if not Path("/proc/self/net/tcp").exists():
        pytest.skip("reads Linux's /proc")
    loader = SourceFileLoader("healthcheck", str(DEPLOY / "healthcheck"))
    spec = importlib.util.spec_from_loader("healthcheck", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


def roles(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in compose["services"].items() if name in ROLES}


def variables_of(env_file: Path) -> dict[str, str]:
    """The variables of an env file; those that are commented out too."""
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", env_file.read_text(), re.MULTILINE))


def command_of(tmp_path: Path, *arguments: str, **environment: str) -> list[str]:
    """What the entrypoint runs, seen by programs that print how they were called."""
    for name in ("celery", "python", "lco_ingest_frame"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\nprintf "%s\\n" "${0##*/}" "$@"\n')
        program.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(DEPLOY / "entrypoint"), *arguments],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


class TestCompose:
    def test_names_no_variable_that_nothing_reads(self, compose: dict[str, Any]) -> None:
        named = {name for service in compose["services"].values() for name in service.get("environment", {})}
        assert named - SETTINGS - OF_THE_CONTAINERS == set()

    def test_hands_every_setting_to_the_worker(self, compose: dict[str, Any]) -> None:
        missing = SETTINGS - set(compose["services"]["worker"]["environment"])
        assert not missing, "add them to x-brokers or x-archiving in docker-compose.yml"

    def test_gives_no_key_to_roles_that_need_none(self, compose: dict[str, Any]) -> None:
        for role in ("listener", "flower"):
            assert {"AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"}.isdisjoint(compose["services"][role]["environment"])

    @pytest.mark.parametrize("secret", ["AUTH_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_secret_files_replace_the_variable_in_every_role_that_has_it(
        self, compose: dict[str, Any], secret: str
    ) -> None:
        having = {name for name, service in compose["services"].items() if secret in service.get("environment", {})}
        # Read as text: Compose applies `!reset` where it stands, and not where an alias repeats it.
        services = (DEPLOY / "secrets.yml").read_text().partition("\nsecrets:")[0]
        sections = re.split(r"^  (\w+):.*$", services, flags=re.MULTILINE)[1:]
        reset = {name for name, body in zip(sections[::2], sections[1::2], strict=True) if f"{secret}: !reset" in body}
        assert reset == having

    def test_runs_every_role_but_beat_which_is_inside_periodic(self, compose: dict[str, Any]) -> None:
        assert set(roles(compose)) == set(ROLES) - {"beat"}
        for name, service in roles(compose).items():
            assert service["command"] == [name]
            assert service["depends_on"]["rabbitmq"] == {"condition": "service_healthy"}
        assert compose["services"]["periodic"]["scale"] == 1

    def test_hardens_all_containers_of_our_image(self, compose: dict[str, Any]) -> None:
        ours = [each for each in compose["services"].values() if each["image"].startswith("archive-ingester:")]
        assert len(ours) == 7
        for service in ours:
            assert service["read_only"] is True
            assert service["init"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert service["tmpfs"] == "/tmp"

    def test_runs_the_demos_own_commands(self, compose: dict[str, Any]) -> None:
        program = ["python", "-m", "ingester_demo"]
        for name in ("s3", "archive", "frames"):
            command = compose["services"][name]["command"]
            assert command[:3] == program
        for name in ("s3", "archive"):
            command = compose["services"][name]["command"]
            assert command[3:5] == ["serve", name]
            options = serve.parser().parse_args(command[4:])
            assert options.host == "0.0.0.0", "other containers must reach it"
        assert frames.parser().parse_args(compose["services"]["frames"]["command"][4:]).directory == Path("/frames")

    def test_mounts_the_data_read_only(self, compose: dict[str, Any]) -> None:
        assert all(volume.endswith(":ro") for volume in compose["services"]["worker"]["volumes"])

    def test_publishes_ports_on_this_host_alone_unless_told_otherwise(self, compose: dict[str, Any]) -> None:
        ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
        assert ports
        assert all(re.match(r"(\$\{[A-Z_]+:-)?127\.0\.0\.1:", port) for port in ports)

    def test_uses_only_variables_that_an_env_file_or_the_documentation_names(self) -> None:
        used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
        documented = (DEPLOY / "example.env").read_text() + (ROOT / "docs" / "docker.md").read_text()
        assert {name for name in used if not re.search(rf"\b{name}\b", documented)} == set()


class TestEnvFiles:
    def test_name_only_variables_that_something_reads(self) -> None:
        compose = (ROOT / "docker-compose.yml").read_text()
        for env_file in DEPLOY.glob("*.env"):
            for name in variables_of(env_file):
                assert re.search(rf"\b{name}\b", compose) or name.startswith("COMPOSE_"), f"{name} in {env_file.name}"

    def test_demo_settings_are_valid(self) -> None:
        values = {name.lower(): value for name, value in variables_of(DEPLOY / "demo.env").items() if name in SETTINGS}
        assert load_settings(ServiceSettings, **values).bucket == "demo"


class TestDockerfile:
    text = (ROOT / "Dockerfile").read_text()

    def test_ends_with_the_stage_that_is_built_by_default(self) -> None:
        stages = re.findall(r"^FROM \S+ AS (\S+)$", self.text, re.MULTILINE)
        assert stages[-1] == "service"
        assert "demo" in stages

    def test_runs_as_a_numeric_user_other_than_root(self) -> None:
        for stage in re.split(r"^FROM ", self.text, flags=re.MULTILINE)[1:]:
            users = re.findall(r"^USER (\S+)$", stage, re.MULTILINE)
            assert not users or re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
        assert "USER 10001:10001" in self.text

    def test_commands_are_programs_and_no_shell_lines(self) -> None:
        for command in re.findall(r"(?:^ENTRYPOINT|^CMD|\bCMD) (.+)$", self.text, re.MULTILINE):
            assert json.loads(command)

    def test_copies_only_what_is_there_and_not_ignored(self) -> None:
        let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        for line in re.findall(r"^COPY (?!--from)(.+)$", self.text, re.MULTILINE):
            for source in line.split()[:-1]:
                assert source.split("/")[0] in let_in, source
                if source != "README.md":
                    assert (ROOT / source).exists(), source

    def test_has_the_demo_in_its_own_stage_alone(self) -> None:
        stages = dict(re.findall(r"^FROM \S+ AS (\S+)$(.*?)(?=^FROM|\Z)", self.text, re.MULTILINE | re.DOTALL))
        assert [name for name, lines in stages.items() if "COPY ingester_demo" in lines] == ["build-demo"]
        assert "COPY --from=build-demo /opt/venv" in stages["demo"]

    def test_installs_what_the_project_requires(self) -> None:
        printed = subprocess.run(
            [sys.executable, "deploy/requirements_of.py", "service"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert printed == project["dependencies"] + project["optional-dependencies"]["service"]


class TestEntrypoint:
    @pytest.mark.parametrize("name", ["entrypoint", "healthcheck"])
    def test_is_executable(self, name: str) -> None:
        assert os.access(DEPLOY / name, os.X_OK)

    def test_is_a_script_that_sh_can_read(self) -> None:
        subprocess.run(["/bin/sh", "-n", str(DEPLOY / "entrypoint")], check=True)

    def test_listener(self, tmp_path: Path) -> None:
        assert command_of(tmp_path, "listener") == ["python", "listener.py"]

    def test_worker_takes_queue_and_concurrency_from_the_environment(self, tmp_path: Path) -> None:
        plain = command_of(tmp_path, "worker")
        assert plain[:7] == ["celery", "-A", "tasks", "worker", "-Q", "ingest", "-n"]
        assert plain[plain.index("-c") + 1] == "1"
        told = command_of(tmp_path, "worker", "--extra", INGEST_QUEUE="other", WORKER_CONCURRENCY="3")
        assert told[told.index("-Q") + 1] == "other"
        assert told[told.index("-c") + 1] == "3"
        assert told[-1] == "--extra"

    def test_periodic_has_beat_inside_and_writes_where_it_may(self, tmp_path: Path) -> None:
        words = command_of(tmp_path, "periodic")
        assert words[words.index("-Q") + 1] == "periodic"
        assert "-B" in words
        assert words[words.index("--schedule") + 1].startswith("/tmp/")

    def test_beat_and_flower(self, tmp_path: Path) -> None:
        assert command_of(tmp_path, "beat")[:4] == ["celery", "-A", "tasks", "beat"]
        assert command_of(tmp_path, "flower")[:4] == ["celery", "-A", "tasks", "flower"]

    def test_anything_else_is_run_as_it_stands(self, tmp_path: Path) -> None:
        words = command_of(tmp_path, "lco_ingest_frame", "--check-only", "a file.fits")
        assert words == ["lco_ingest_frame", "--check-only", "a file.fits"]

    def test_without_a_role_it_says_which_there_are(self, tmp_path: Path) -> None:
        with pytest.raises(subprocess.CalledProcessError) as raised:
            command_of(tmp_path)
        assert raised.value.returncode == 2
        assert all(role in raised.value.stderr for role in ROLES)


class TestHealthcheck:
    def test_knows_the_ports_of_brokers(self, healthcheck: ModuleType) -> None:
        assert healthcheck.broker_ports("amqp://user:secret@host/vhost") == {5672}
        assert healthcheck.broker_ports("amqps://host;amqp://other:7000/") == {5671, 7000}
        assert healthcheck.broker_ports("folder:///tmp/broker") == set()
        assert healthcheck.broker_ports("") == set()

    def test_sees_a_connection_and_sees_that_the_broker_hung_up(self, healthcheck: ModuleType) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                peer, _ = server.accept()
                me = str(os.getpid())
                assert healthcheck.connected(me, {port})
                assert not healthcheck.connected(me, {port + 1})
                peer.close()
                assert not healthcheck.connected(me, {port})

    def test_reads_a_setting_from_the_environment_or_its_secret_file(
        self, healthcheck: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(healthcheck, "SECRETS", tmp_path)
        monkeypatch.delenv("BROKER_URL", raising=False)
        assert healthcheck.setting("BROKER_URL") == ""
        (tmp_path / "broker_url").write_text("amqp://file/\n")
        assert healthcheck.setting("BROKER_URL") == "amqp://file/"
        monkeypatch.setenv("BROKER_URL", "amqp://environment/")
        assert healthcheck.setting("BROKER_URL") == "amqp://environment/"
