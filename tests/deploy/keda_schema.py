"""What KEDA accepts, as far as the manifests use it.

Source: KEDA 2.20, https://keda.sh/docs/2.20/reference/scaledobject-spec/ (ScaledObject), …/concepts/authentication/
(TriggerAuthentication) and …/scalers/metrics-api/ (the trigger's metadata: all values are strings).
"""

from typing import Any

Schema = dict[str, Any]


def _closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return found | {"required": list(required)}


_TEXT: Schema = {"type": "string", "minLength": 1}
_NUMBER: Schema = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_METADATA: Schema = {"type": "object", "required": ["name", "namespace"]}

_TRIGGER = _closed(
    ("type", "metadata"),
    type={"const": "metrics-api"},
    name={"type": "string", "pattern": "^[a-z0-9-]+$"},
    useCachedMetrics={"type": "boolean"},
    metricType={"enum": ["AverageValue", "Value"]},
    authenticationRef=_closed(
        ("name",), name=_TEXT, kind={"enum": ["TriggerAuthentication", "ClusterTriggerAuthentication"]}
    ),
    metadata=_closed(
        ("url", "valueLocation", "targetValue"),
        url={"type": "string", "pattern": "^https?://"},
        format={"enum": ["json", "xml", "yaml", "prometheus"]},
        # KEDA names a metric after it, which Kubernetes then asks for in a path: no query language in here.
        valueLocation={"type": "string", "pattern": "^[a-z0-9_.]+$"},
        targetValue=_NUMBER,
        activationTargetValue=_NUMBER,
        authMode={"enum": ["apiKey", "basic", "tls", "bearer"]},
    ),
)

_POLICIES = {
    "type": "array",
    "items": _closed(
        ("type", "value", "periodSeconds"),
        type={"enum": ["Pods", "Percent"]},
        value={"type": "integer", "minimum": 1},
        periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
    ),
}
_RULES = _closed(
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies=_POLICIES,
)

SCALED_OBJECT = _closed(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata=_METADATA,
    spec=_closed(
        ("scaleTargetRef", "triggers"),
        scaleTargetRef=_closed(("name",), name=_TEXT, kind=_TEXT, apiVersion=_TEXT),
        pollingInterval=_COUNT,
        cooldownPeriod=_COUNT,
        minReplicaCount=_COUNT,
        maxReplicaCount=_COUNT,
        advanced=_closed(
            horizontalPodAutoscalerConfig=_closed(name=_TEXT, behavior=_closed(scaleUp=_RULES, scaleDown=_RULES))
        ),
        triggers={"type": "array", "minItems": 1, "items": _TRIGGER},
    ),
)

TRIGGER_AUTHENTICATION = _closed(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "TriggerAuthentication"},
    metadata=_METADATA,
    spec=_closed(
        secretTargetRef={
            "type": "array",
            "items": _closed(("parameter", "name", "key"), parameter=_TEXT, name=_TEXT, key=_TEXT),
        }
    ),
)
