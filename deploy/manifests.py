"""Kubernetes manifests: ``python -m deploy.manifests [--namespace …]`` writes them into ``deploy/kubernetes``.

``switchyard.yaml`` holds the roles, ``keda.yaml`` lets KEDA scale the workers of each queue on what the web server
says of it (``scaling`` in ``GET /api/queues``). Redis, PostgreSQL and all secrets are referred to, never defined.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.core.spec import Queue

Manifest = dict[str, Any]

FOLDER = Path(__file__).parent / "kubernetes"
SECRET = "switchyard"  # noqa: S105  # its name
# Which key of the secret goes where; `scaler-key` is an API key for KEDA.
_SECRETS = {
    "SWITCHYARD_LEDGER_URL": "ledger-url",
    "SWITCHYARD_REDIS_URL": "redis-url",
    "SWITCHYARD_SECRET_KEY": "secret-key",
    "SWITCHYARD_FLOWER_PASSWORD": "flower-password",
}
_SCALER_KEY = "scaler-key"
_USER = 10001  # as in the Dockerfile
_PORT, _FLOWER_PORT = 8000, 5555


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is to run, and from which images."""

    namespace: str = "switchyard"
    web_image: str = "switchyard-web:latest"
    worker_image: str = "switchyard-worker:latest"


@dataclass(frozen=True, slots=True)
class Need:
    """What a worker of a queue gets, and how many there may be.

    Args:
        slots: jobs that one runs at a time (workers/profiles.py: a test compares).
        settings: its own.
    """

    cpu: str
    memory: str
    most: int
    slots: int
    settings: Mapping[str, str]
    shared_memory: str | None = None


# Containers forbid the namespaces that Chromium's sandbox is made of.
_BROWSER = {"SWITCHYARD_BROWSER_SANDBOX": "false"}
NEEDS = {
    Queue.CRITICAL: Need("1", "1Gi", most=4, slots=2, settings={}),
    Queue.AI: Need("2", "4Gi", most=8, slots=1, settings={}),
    Queue.CRAWLER: Need("2", "2Gi", most=16, slots=2, settings=_BROWSER, shared_memory="512Mi"),
    Queue.VOICE: Need("1", "1Gi", most=4, slots=1, settings={}),
    Queue.ANALYTICS: Need("1", "1Gi", most=4, slots=1, settings={}),
    Queue.MAINTENANCE: Need("500m", "512Mi", most=2, slots=1, settings={}),
}
# A queue whose oldest job waits longer than this gets more workers, in proportion; or so many jobs for each slot.
_OLDEST_S, _JOBS_PER_SLOT = 60, 4
# After a rise, so long without need before a worker goes: a started worker is worth more than a saved minute.
_CALM_S = 300


def roles(place: Place) -> list[Manifest]:
    """Return all that runs, but for what scales it."""
    workers = [one for queue, need in NEEDS.items() for one in _worker(place, queue, need)]
    return [
        _object(place, "v1", "ConfigMap", "switchyard", data=_SETTINGS),
        _object(place, "v1", "PersistentVolumeClaim", "artifacts", spec=_ARTIFACTS),
        *_web(place),
        *_dispatcher(place),
        *workers,
        *_flower(place),
    ]


def scaling(place: Place) -> list[Manifest]:
    """Return what KEDA reads: one object for each queue, and the key that it asks with."""
    reference = [{"parameter": "token", "name": SECRET, "key": _SCALER_KEY}]
    key = _object(place, _KEDA, "TriggerAuthentication", "switchyard", spec={"secretTargetRef": reference})
    return [key, *(_scaled(place, queue, need) for queue, need in NEEDS.items())]


_KEDA = "keda.sh/v1alpha1"

_SETTINGS = {
    "SWITCHYARD_ENVIRONMENT": "production",
    # Until every node has taken an ending process out of its service.
    "SWITCHYARD_DRAIN_S": "10",
    "SWITCHYARD_DRAIN_GRACE_S": "30",
}

_ARTIFACTS = {
    # Web and workers share it, on whatever nodes they run.
    "accessModes": ["ReadWriteMany"],
    "resources": {"requests": {"storage": "20Gi"}},
}


def _web(place: Place) -> list[Manifest]:
    probes = {
        "startupProbe": _http("/health/startup", period=2, failures=60),
        "livenessProbe": _http("/health/live", period=10, failures=6),
        "readinessProbe": _http("/health/ready", period=3, failures=2),
    }
    container = _container("web", place.web_image, {"PROCESS_TYPE": "web"}, cpu="1", memory="1Gi") | probes
    container["ports"] = [{"name": "http", "containerPort": _PORT}]
    return [
        _deployment(place, "web", container, replicas=2, patience_s=45),
        _service(place, "web", port=80, target=_PORT),
        _budget(place, "web", minAvailable=1),
    ]


def _dispatcher(place: Place) -> list[Manifest]:
    # One leads, the other stands by. Whether one leads is told by the web's /health, not by a probe of the process.
    container = _container("dispatcher", place.worker_image, {"PROCESS_TYPE": "dispatcher"}, cpu="500m", memory="256Mi")
    return [
        _deployment(place, "dispatcher", container, replicas=2, patience_s=30),
        _budget(place, "dispatcher", minAvailable=1),
    ]


def _worker(place: Place, queue: Queue, need: Need) -> list[Manifest]:
    name = f"worker-{queue}"
    settings = {"PROCESS_TYPE": "worker", "Q": str(queue), **need.settings}
    container = _container(name, place.worker_image, settings, cpu=need.cpu, memory=need.memory)
    container["readinessProbe"] = {
        "exec": {"command": ["python", "-m", "workers", "ready"]},
        "periodSeconds": 15,
        "timeoutSeconds": 10,
        "failureThreshold": 2,
    }
    volumes = []
    if need.shared_memory is not None:
        container["volumeMounts"].append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108  # the kernel's
        volumes = [{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": need.shared_memory}}]
    # No number of replicas: applying this again must not undo what the scaler has set.
    deployment = _deployment(place, name, container, replicas=None, patience_s=60, volumes=volumes)
    return [deployment, _budget(place, name, maxUnavailable=1)]


def _flower(place: Place) -> list[Manifest]:
    settings = {"PROCESS_TYPE": "flower", "FLOWER_BIND": "0.0.0.0"}  # noqa: S104  # reached through the service alone
    container = _container("flower", place.worker_image, settings, cpu="500m", memory="512Mi")
    container["ports"] = [{"name": "http", "containerPort": _FLOWER_PORT}]
    # It asks for a password, so that all that can be probed is that it listens.
    container["readinessProbe"] = {"tcpSocket": {"port": "http"}, "periodSeconds": 10}
    return [
        _deployment(place, "flower", container, replicas=1, patience_s=30),
        _service(place, "flower", port=_FLOWER_PORT, target=_FLOWER_PORT),
    ]


def _scaled(place: Place, queue: Queue, need: Need) -> Manifest:
    triggers = [
        _trigger(place, queue, "advised_workers", target=1, kind="AverageValue"),
        _trigger(place, queue, "active", target=_JOBS_PER_SLOT * need.slots, kind="AverageValue"),
        _trigger(place, queue, "oldest_waiting_s", target=_OLDEST_S, kind="Value"),
    ]
    down = {
        "stabilizationWindowSeconds": _CALM_S,
        "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
    }
    spec = {
        "scaleTargetRef": {"name": f"worker-{queue}"},
        "pollingInterval": 15,
        "minReplicaCount": 1,
        "maxReplicaCount": need.most,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": down}}},
        "triggers": triggers,
    }
    return _object(place, _KEDA, "ScaledObject", f"worker-{queue}", spec=spec)


def _trigger(place: Place, queue: Queue, field: str, *, target: int, kind: str) -> Manifest:
    metadata = {
        # By its full name: KEDA asks from a namespace of its own.
        "url": f"http://web.{place.namespace}.svc.cluster.local/api/queues",
        "valueLocation": f"scaling.{queue}.{field}",
        "targetValue": str(target),
        "authMode": "bearer",
    }
    name = field.replace("_", "-")
    reference = {"name": "switchyard"}
    return {
        "type": "metrics-api",
        "name": name,
        "metricType": kind,
        "metadata": metadata,
        "authenticationRef": reference,
    }


# ---- parts


def _object(place: Place, version: str, kind: str, name: str, **rest: Any) -> Manifest:
    metadata = {"name": name, "namespace": place.namespace, "labels": {"app.kubernetes.io/part-of": "switchyard"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _container(name: str, image: str, settings: Mapping[str, str], *, cpu: str, memory: str) -> Manifest:
    secrets = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}
        for variable, key in _SECRETS.items()
    ]
    return {
        "name": name,
        "image": image,
        "envFrom": [{"configMapRef": {"name": "switchyard"}}],
        "env": [*secrets, *({"name": variable, "value": value} for variable, value in settings.items())],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": cpu, "memory": memory}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "artifacts", "mountPath": "/srv/artifacts"},
            {"name": "state", "mountPath": "/srv/state"},
        ],
    }


def _deployment(
    place: Place,
    name: str,
    container: Manifest,
    *,
    replicas: int | None,
    patience_s: int,
    volumes: Sequence[Manifest] = (),
) -> Manifest:
    pod = {
        "terminationGracePeriodSeconds": patience_s,
        # What runs asks nothing of Kubernetes.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _labels(name)},
            }
        ],
        "containers": [container],
        "volumes": [
            {"name": "artifacts", "persistentVolumeClaim": {"claimName": "artifacts"}},
            {"name": "state", "emptyDir": {}},
            *volumes,
        ],
    }
    labels = {"app.kubernetes.io/part-of": "switchyard", **_labels(name)}
    spec = {
        **({} if replicas is None else {"replicas": replicas}),
        "selector": {"matchLabels": _labels(name)},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return _object(place, "apps/v1", "Deployment", name, spec=spec)


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "switchyard", "app.kubernetes.io/component": name}


def _service(place: Place, name: str, *, port: int, target: int) -> Manifest:
    ports = [{"name": "http", "port": port, "targetPort": target}]
    return _object(place, "v1", "Service", name, spec={"selector": _labels(name), "ports": ports})


def _budget(place: Place, name: str, **rule: int) -> Manifest:
    spec = {**rule, "selector": {"matchLabels": _labels(name)}}
    return _object(place, "policy/v1", "PodDisruptionBudget", name, spec=spec)


def _http(path: str, *, period: int, failures: int) -> Manifest:
    probe = {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "failureThreshold": failures}
    return {**probe, "timeoutSeconds": 5}


# ---- writing


def written(manifests: Sequence[Manifest]) -> str:
    """Return the manifests as YAML."""
    head = "# Written by `python -m deploy.manifests`; docs/operations.md says how to use it.\n"
    return head + yaml.dump_all(manifests, sort_keys=False, width=120, Dumper=_Dumper, explicit_start=True)


class _Dumper(yaml.SafeDumper):
    """Repeats what is the same: an alias would be harder to read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # upstream's signature
        return True


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.manifests", description=__doc__)
    usual = Place()
    parser.add_argument("--namespace", default=usual.namespace)
    parser.add_argument("--web-image", default=usual.web_image)
    parser.add_argument("--worker-image", default=usual.worker_image)
    parser.add_argument("--to", type=Path, default=FOLDER, help="the folder that they are written to")
    arguments = vars(parser.parse_args())
    folder: Path = arguments.pop("to")
    place = Place(**arguments)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "switchyard.yaml").write_text(written(roles(place)), encoding="utf-8")
    (folder / "keda.yaml").write_text(written(scaling(place)), encoding="utf-8")


if __name__ == "__main__":
    main()
