"""What the policy pack says of what would be deployed, without an engine: as a state of it would be judged."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from fleet.names import PROJECT
from fleet.render import SECRET_PLACEHOLDER
from fleet.review.description import ClusterSide, Description, Object
from fleet.review.nodes import mapping
from fleet.review.running import run
from fleet.review.sides import Side

_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""By which Pulumi marks a text that is not known before `up`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    violations: tuple[str, ...] = ()
    """In the pack's words, those of mandatory policies and of advisory ones."""
    unjudged: tuple[str, ...] = ()
    is_refused: bool = False
    """Whether a mandatory policy is violated."""
    failure: str | None = None
    """Why there is no judgement."""


async def judgement(stack: str, side: Side) -> Judgement:
    """By the side's own pack and its settings."""
    pack = side.code / "policies"
    if not (pack / "fleet_policies").is_dir():
        return Judgement(failure="this program has no policy pack beside it")
    done = await run(
        side.python,
        *("-m", "fleet_policies", "state"),
        given=json.dumps(proposed_state(stack, side.description)),
        environment={"PYTHONPATH": str(pack), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    lines = done.out.splitlines()
    if done.status not in _ENDINGS or (done.status and not lines):
        said = done.err.strip().splitlines()
        return Judgement(failure=f"the policy pack cannot judge it: {said[-1] if said else 'it says nothing'}")
    return Judgement(
        tuple(each for each in lines if not _is_unjudged(each)),
        tuple(each for each in lines if _is_unjudged(each)),
        is_refused=done.status == _ENDINGS[1],
    )


_ENDINGS = (0, 1, 2)
"""Nothing is violated, a mandatory policy is, something could not be judged."""


def _is_unjudged(line: str) -> bool:
    return ": not judged, because " in line


def proposed_state(stack: str, description: Description) -> Mapping[str, object]:
    """In the form of `pulumi stack export`: what of the program's resources policies judge."""
    resources = [*_authorities(stack, description)]
    for name, cluster in description.clusters.items():
        resources += _cluster(stack, name, cluster)
    return {"version": 3, "deployment": {"resources": resources}}


def _authorities(stack: str, description: Description) -> Iterator[Mapping[str, object]]:
    for number in description.keys.authority.trust if description.keys is not None else ():
        kind = "tls:index/selfSignedCert:SelfSignedCert"
        yield _resource(stack, kind, f"authority-{number}", {"isCaCertificate": True})


def _cluster(stack: str, name: str, cluster: ClusterSide) -> Iterator[Mapping[str, object]]:
    provider = f"{_urn(stack, 'pulumi:providers:kubernetes', name)}::{name}"
    for made in cluster.objects:
        group, _, version = str(made["apiVersion"]).rpartition("/")
        kind, own = str(made["kind"]), mapping(made.get("metadata")).get("name")
        token = f"kubernetes:{group or 'core'}/{version}:{kind}"
        yield _resource(stack, token, f"{name}-{kind.lower()}-{own}", _unknown(made), provider)
    release: Object = {
        "chart": cluster.chart.source,
        "version": cluster.chart.version,
        "namespace": cluster.namespace,
        "values": cluster.values,
    }
    yield _resource(stack, "kubernetes:helm.sh/v3:Release", f"{name}-release", release, provider)


def _unknown(node: JsonValue) -> JsonValue:
    if isinstance(node, dict):
        return {key: _unknown(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_unknown(each) for each in node]
    return _UNKNOWN if node == SECRET_PLACEHOLDER else node


def _resource(stack: str, kind: str, name: str, inputs: JsonValue, provider: str = "") -> Mapping[str, object]:
    return {"urn": _urn(stack, kind, name), "type": kind, "inputs": inputs, "provider": provider}


def _urn(stack: str, kind: str, name: str) -> str:
    return f"urn:pulumi:{stack}::{PROJECT}::{kind}::{name}"
