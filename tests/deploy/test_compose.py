"""The compose file, images and entry point are read, not run: no container engine is needed."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.settings import PREFIX, Settings
from tasks.core.spec import Queue

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
SECRETS = ("SWITCHYARD_SECRET_KEY", "SWITCHYARD_FLOWER_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_compose_has_one_worker_service_per_queue(compose: dict[str, Any]) -> None:
    """Each of the six queues is served by exactly one service."""
    served = [service["environment"].get("Q") for name, service in compose["services"].items() if "worker-" in name]
    assert sorted(queue.value for queue in Queue) == sorted(served)


def test_compose_runs_two_web_processes_and_one_of_each_other_role(compose: dict[str, Any]) -> None:
    """Two fronts, a dispatcher, Flower and both servers."""
    services = compose["services"]
    assert services["web"]["deploy"]["replicas"] == 2
    assert {"dispatcher", "flower", "redis", "postgres"} < set(services)


def test_every_service_is_limited_in_cpu_and_memory(compose: dict[str, Any]) -> None:
    """No service can starve its host."""
    for name, service in compose["services"].items():
        assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"]), name


def test_web_and_workers_share_the_artifact_volume(compose: dict[str, Any]) -> None:
    """What a worker writes, the web serves."""
    ours = [service for service in compose["services"].values() if "build" in service]
    assert all("artifacts:/srv/artifacts" in service["volumes"] for service in ours)


def test_redis_keeps_an_append_only_file_and_never_evicts(compose: dict[str, Any]) -> None:
    """The two settings that the broker needs."""
    command = compose["services"]["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_orchestrator_waits_longer_than_we_take_to_leave(compose: dict[str, Any]) -> None:
    """The web drains and then ends its requests; a worker lets its jobs finish and then hands the rest back."""
    defaults = {name: Settings.model_fields[name].default for name in ("drain_s", "drain_grace_s")}
    for name, service in compose["services"].items():
        if "build" in service:
            patience_s = int(service["stop_grace_period"].removesuffix("s"))
            assert patience_s >= max(defaults["drain_s"] + 15, defaults["drain_grace_s"] + 10), name


def test_workers_are_probed_by_their_own_command(compose: dict[str, Any]) -> None:
    """Their row says whether they take jobs; other roles of that image have no such row."""
    for name, service in compose["services"].items():
        if service.get("image") == "switchyard-worker":
            probe = service["healthcheck"].get("test")
            assert probe == (["CMD", "python", "-m", "workers", "ready"] if name.startswith("worker-") else None), name


def test_compose_names_only_settings_that_exist(compose: dict[str, Any]) -> None:
    """A misspelt variable would be ignored in silence."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for service in compose["services"].values():
        used = {name for name in service.get("environment", {}) if name.startswith(PREFIX)}
        assert used <= known


def test_compose_has_no_default_password() -> None:
    """Every secret must come from the operator."""
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_production_settings_of_compose_are_accepted(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that compose gives passes our own start-up checks."""
    for name, value in compose["services"]["web"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{[^}]*\}", "x" * 32, value))
    assert Settings().environment == "production"


def test_dockerfile_has_both_targets_and_copies_what_exists() -> None:
    """Each COPY source is in the repository, and the targets are web and worker."""
    text = DOCKERFILE.read_text()
    assert {"web", "worker"} < set(re.findall(r"^FROM \S+ AS (\w+)$", text, flags=re.MULTILINE))
    sources = [word for line in re.findall(r"^COPY (.+)$", text, flags=re.MULTILINE) for word in line.split()[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_images_do_not_run_as_root() -> None:
    """Both final stages drop to a user of their own."""
    stages = DOCKERFILE.read_text().split("\nFROM ")
    assert all("USER switchyard" in stage for stage in stages if re.search(r"AS (web|worker)\b", stage))


def test_entry_point_refuses_an_unknown_role() -> None:
    """A typo in PROCESS_TYPE stops at once with the choices."""
    outcome = subprocess.run(
        [ROOT / "deploy" / "entrypoint.sh"],
        env={**os.environ, "PROCESS_TYPE": "wrker"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 2
    assert "web, worker, workers, dispatcher or flower" in outcome.stderr


def test_compose_passes_the_reference_parser(tmp_path: Path) -> None:
    """`docker compose config` resolves the file; it needs no engine."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed here")
    env_file = tmp_path / "env"
    env_file.write_text("".join(f"{name}={'x' * 32}\n" for name in SECRETS))
    outcome = subprocess.run(
        [docker, "compose", "-f", ROOT / "docker-compose.yml", "--env-file", env_file, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
