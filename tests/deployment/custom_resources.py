"""Schemas of other operators' objects, of the parts that the chart uses: members that they do not know are refused."""

from typing import Any

from tests.json_schema import validate as validate_json

_TEXT = {"type": "string", "minLength": 1}
_NUMBER = {"type": "integer", "minimum": 0}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}


def _closed(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


_SCALED_TO = _closed({"apiVersion": {"const": "apps/v1"}, "kind": {"const": "Deployment"}, "name": _TEXT})
_BEHAVIOR = _closed({"scaleDown": _closed({"stabilizationWindowSeconds": _NUMBER})})
_PROMETHEUS = _closed(
    {
        "type": {"const": "prometheus"},
        "metricType": {"enum": ["AverageValue", "Value"]},
        # KEDA takes texts only
        "metadata": _closed(
            {
                "serverAddress": {"type": "string", "pattern": "^https?://"},
                "query": _TEXT,
                "threshold": {"type": "string", "pattern": "^[0-9]+$"},
                "ignoreNullValues": {"enum": ["true", "false"]},
            }
        ),
        "authenticationRef": _closed({"name": _TEXT}),
    },
    "authenticationRef",
)
_RULE = _closed(
    {
        "alert": _TEXT,
        "record": _TEXT,
        "expr": {"type": ["string", "number"]},
        "for": _DURATION,
        "keep_firing_for": _DURATION,
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
    *("alert", "record", "for", "keep_firing_for", "labels", "annotations"),
)
_MATCH = _closed({"path": _closed({"type": {"enum": ["Exact", "PathPrefix"]}, "value": _TEXT})})
_PARENT = _closed({"name": _TEXT, "namespace": _TEXT, "sectionName": _TEXT}, "namespace", "sectionName")

SPECS: dict[tuple[str, str], dict[str, Any]] = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _closed(
        {
            "selector": _closed({"matchLabels": _TEXTS}),
            "namespaceSelector": _closed({"matchNames": _list(_TEXT)}),
            "podTargetLabels": _list(_TEXT),
            "endpoints": _list(
                _closed(
                    {
                        "port": _TEXT,
                        "path": _TEXT,
                        "interval": _DURATION,
                        "scrapeTimeout": _DURATION,
                        "relabelings": _list(_closed({"targetLabel": _TEXT, "replacement": _TEXT})),
                    }
                )
            ),
        },
        "podTargetLabels",
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _closed(
        {"groups": _list(_closed({"name": _TEXT, "interval": _DURATION, "rules": _list(_RULE)}, "interval"))}
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): _closed(
        {
            "scaleTargetRef": _SCALED_TO,
            "minReplicaCount": _NUMBER,
            "maxReplicaCount": _NUMBER,
            "pollingInterval": _NUMBER,
            "fallback": _closed({"failureThreshold": _NUMBER, "replicas": _NUMBER}),
            "advanced": _closed({"horizontalPodAutoscalerConfig": _closed({"behavior": _BEHAVIOR})}),
            "triggers": _list(_PROMETHEUS),
        },
        "fallback",
    ),
    ("external-secrets.io/v1", "ExternalSecret"): _closed(
        {
            "refreshInterval": _DURATION,
            "secretStoreRef": _closed({"name": _TEXT, "kind": {"enum": ["SecretStore", "ClusterSecretStore"]}}),
            "target": _closed({"name": _TEXT, "creationPolicy": {"enum": ["Owner", "Orphan", "Merge", "None"]}}),
            "data": _list(
                _closed({"secretKey": _TEXT, "remoteRef": _closed({"key": _TEXT, "property": _TEXT}, "property")})
            ),
        }
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _closed(
        {
            "parentRefs": _list(_PARENT),
            "hostnames": _list(_TEXT),
            "rules": _list(
                _closed(
                    {
                        "matches": _list(_MATCH),
                        "timeouts": _closed({"request": _DURATION, "backendRequest": _DURATION}, "backendRequest"),
                        "backendRefs": _list(_closed({"name": _TEXT, "port": _NUMBER})),
                    },
                    "timeouts",
                )
            ),
        },
        "hostnames",
    ),
}


def is_custom(one: dict[str, Any]) -> bool:
    """Tell whether an object is another operator's."""
    return (one["apiVersion"], one["kind"]) in SPECS


def validate(one: dict[str, Any]) -> None:
    """Check an object of another operator's. Raises jsonschema.ValidationError."""
    validate_json(one["spec"], SPECS[one["apiVersion"], one["kind"]])
    assert set(one) == {"apiVersion", "kind", "metadata", "spec"}
