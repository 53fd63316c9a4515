"""The Kubernetes manifests: valid by Kubernetes' own schemas, true to the code, and the same as the files."""

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from deploy.manifests import FOLDER, NEEDS, SECRET, Place, roles, scaling, written
from tasks.core.settings import PREFIX, Settings
from tasks.core.spec import Queue
from tests.deploy.keda_schema import SCALED_OBJECT, TRIGGER_AUTHENTICATION
from workers.__main__ import main as workers_command
from workers.profiles import PROFILES

ROLES, SCALING = roles(Place()), scaling(Place())
DEPLOYMENTS = {one["metadata"]["name"]: one["spec"] for one in ROLES if one["kind"] == "Deployment"}
PODS = {name: spec["template"]["spec"] for name, spec in DEPLOYMENTS.items()}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in container["env"]}


@pytest.mark.parametrize("manifest", ROLES, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_roles_are_valid_kubernetes(manifest: dict[str, Any]) -> None:
    """By the newest release that is known, and by one three before; no unknown field."""
    for version in ("1.34", "1.37"):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_scaling_is_valid_for_keda() -> None:
    """One authentication, and one object for each queue's deployment."""
    key, *scaled = SCALING
    jsonschema.validate(key, TRIGGER_AUTHENTICATION)
    for one in scaled:
        jsonschema.validate(one, SCALED_OBJECT)
    assert {f"worker-{queue}" for queue in Queue} == {one["spec"]["scaleTargetRef"]["name"] for one in scaled}
    assert {f"worker-{queue}" for queue in Queue} < set(DEPLOYMENTS)


def test_files_are_what_is_written() -> None:
    """`python -m deploy.manifests` was run after the last change."""
    assert written(ROLES) == (FOLDER / "switchyard.yaml").read_text(encoding="utf-8")
    assert written(SCALING) == (FOLDER / "keda.yaml").read_text(encoding="utf-8")
    assert ROLES == list(yaml.safe_load_all((FOLDER / "switchyard.yaml").read_text(encoding="utf-8")))


def test_roles_are_those_of_compose() -> None:
    """With the same settings, limits and images; the two servers are referred to."""
    text = (Path(__file__).parents[2] / "docker-compose.yml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    assert set(services) - {"redis", "postgres"} == set(DEPLOYMENTS)
    for name, container in CONTAINERS.items():
        its = services[name]["environment"] if name != "web" else {"PROCESS_TYPE": "web"}
        ours = environment(container)
        for variable in ("PROCESS_TYPE", "Q", "SWITCHYARD_BROWSER_SANDBOX", "FLOWER_BIND"):
            expected = its.get(variable, "worker" if variable == "PROCESS_TYPE" else None)
            assert expected == ours.get(variable), (name, variable)
        assert services[name]["image"] == container["image"].removesuffix(":latest")


def test_orchestrator_waits_longer_than_we_take_to_leave() -> None:
    """The web drains and then ends its requests; a worker lets its jobs finish and then hands the rest back."""
    (settings,) = (one["data"] for one in ROLES if one["kind"] == "ConfigMap")
    assert PODS["web"]["terminationGracePeriodSeconds"] >= float(settings["SWITCHYARD_DRAIN_S"]) + 15
    for queue in Queue:
        patience_s = PODS[f"worker-{queue}"]["terminationGracePeriodSeconds"]
        assert patience_s >= float(settings["SWITCHYARD_DRAIN_GRACE_S"]) + 10


def test_every_container_is_limited_and_without_privileges() -> None:
    """None can starve its node, none is root, and none may speak to Kubernetes."""
    for name, container in CONTAINERS.items():
        assert {"cpu", "memory"} == set(container["resources"]["limits"]), name
        assert {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}} == container["securityContext"]
        assert (True, False) == (
            PODS[name]["securityContext"]["runAsNonRoot"],
            PODS[name]["automountServiceAccountToken"],
        )


def test_secrets_are_only_referred_to() -> None:
    """None is defined, and every one comes from the operator's."""
    assert "Secret" not in {one["kind"] for one in [*ROLES, *SCALING]}
    for container in CONTAINERS.values():
        secret = {
            one["name"]: one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one
        }
        assert set(secret.values()) == {SECRET}
        assert {"SWITCHYARD_LEDGER_URL", "SWITCHYARD_REDIS_URL", "SWITCHYARD_SECRET_KEY"} < set(secret)


def test_only_settings_that_exist_are_named() -> None:
    """A misspelt variable would be ignored in silence."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    (settings,) = (one["data"] for one in ROLES if one["kind"] == "ConfigMap")
    used = {name for container in CONTAINERS.values() for name in environment(container)} | set(settings)
    assert {name for name in used if name.startswith(PREFIX)} <= known


def test_workers_are_probed_by_their_own_command() -> None:
    """Their row says whether they take jobs."""
    commands = {tuple(CONTAINERS[f"worker-{queue}"]["readinessProbe"]["exec"]["command"]) for queue in Queue}
    assert {("python", "-m", "workers", "ready")} == commands
    assert "ready" in workers_command.commands


def test_scaled_workers_are_left_to_the_scaler() -> None:
    """Applying the manifests again changes no number that it has set; and each has as many slots as is reckoned."""
    assert all("replicas" not in DEPLOYMENTS[f"worker-{queue}"] for queue in Queue)
    assert {queue: profile.concurrency for queue, profile in PROFILES.items()} == {
        queue: need.slots for queue, need in NEEDS.items()
    }


def test_budgets_choose_the_pods_of_their_deployments() -> None:
    """One for each role that has more than one process."""
    budgets = {
        one["metadata"]["name"]: one["spec"]["selector"] for one in ROLES if one["kind"] == "PodDisruptionBudget"
    }
    assert set(DEPLOYMENTS) - {"flower"} == set(budgets)
    for name, selector in budgets.items():
        assert selector == DEPLOYMENTS[name]["selector"]


def test_another_place_is_named_everywhere() -> None:
    """Also where KEDA asks."""
    place = Place("elsewhere", "a/web:1", "a/worker:1")
    text = written([*roles(place), *scaling(place)])
    assert "namespace: switchyard" not in text
    assert "http://web.elsewhere.svc.cluster.local/api/queues" in text
    assert "image: switchyard" not in text
