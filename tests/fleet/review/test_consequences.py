"""What is called out of a change, and what is not."""

from typing import Any

import pytest
import yaml

from fleet.review.consequences import Kind, consequences
from fleet.review.description import ChartRef, ClusterSide, Description, EdgeSide
from fleet.review.differences import ClusterState, difference, named
from fleet.review.servers import RELOADED
from local import golang
from local.chart_assembly import operator_crds
from local.environment import CHECKOUT

SIDE = ClusterSide(
    tier="leaf", namespace="monitoring", place="context eu-1", chart=ChartRef(source="./chart"), values={}, objects=()
)
QUEUE = {"name": "hub", "url": "https://192.0.2.1/api/v1/write", "writeRelabelConfigs": [{"action": "keep"}]}


def prometheus(kind: str = "Prometheus", **spec: Any) -> dict[str, Any]:
    return made(kind, "p", spec={"replicas": 1, **spec})


def made(kind: str, name: str, **body: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "monitoring"}, **body}


def state(*objects: dict[str, Any], **side: Any) -> ClusterState:
    # Values differ wherever objects do.
    changed = SIDE.model_copy(update={"values": {"of": repr(objects)}, **side})
    return ClusterState(changed, None, named(objects, changed.namespace), is_rendered=True)


def told(before: ClusterState | None, after: ClusterState | None) -> list[tuple[Kind, str]]:
    found = difference(Description(), Description(), {"eu-1": (before, after)})
    return [(each.kind, each.what) for each in consequences(found)]


def of_edges(before: EdgeSide | None, after: EdgeSide | None) -> list[tuple[Kind, str]]:
    sides = [Description(edges={"a": each} if each is not None else {}) for each in (before, after)]
    cluster = state()
    return [
        (each.kind, each.what)
        for each in consequences(difference(*sides, {"eu-1": (cluster, cluster), "eu": (cluster, cluster)}))
    ]


EDGE = EdgeSide(
    kind="federation",
    lower="eu-1",
    upper="eu",
    facts={"matches": ('{__name__=~"cluster:.*"}', "kube_pod_info"), "auth": ("basic",), "password": ("made here",)},
    generation=1,
    budget=4000,
    estimate=2913,
)


def service(kind: str, **port: Any) -> dict[str, Any]:
    return made("Service", "s", spec={"type": kind, "ports": [{"port": 9443, **port}]})


def policy(*ingress: Any, **selector: str) -> dict[str, Any]:
    return made("NetworkPolicy", "n", spec={"podSelector": {"matchLabels": selector}, "ingress": [*ingress]})


def pods(**labels: str) -> dict[str, Any]:
    return made("Deployment", "d", spec={"template": {"metadata": {"labels": labels}}})


def operator(reloader: str) -> dict[str, Any]:
    container = {"args": [f"--prometheus-config-reloader={reloader}"]}
    return made("Deployment", "o", spec={"template": {"spec": {"containers": [container]}}})


def claim(size: str) -> dict[str, Any]:
    return {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": size}}}}}


def rule(*records: str) -> dict[str, Any]:
    return made("PrometheusRule", "r", spec={"groups": [{"rules": [{"record": each} for each in records]}]})


BACK = "nothing is scraped until it is back"
SIDECAR = {"objectStorageConfig": {"name": "thanos-objects", "key": "objstore.yml"}}
CASES: dict[str, tuple[ClusterState | None, ClusterState | None, list[tuple[Kind, str]]]] = {
    "other resources": (
        state(prometheus()),
        state(prometheus(resources={"requests": {"cpu": 1}})),
        [(Kind.RESTART, f"`resources`; {BACK}")],
    ),
    "a Secret more": (
        state(prometheus(replicas=2)),
        state(prometheus(replicas=2, secrets=["a"])),
        [(Kind.RESTART, "`secrets`; its 2 replicas one after the other")],
    ),
    "a sidecar": (state(prometheus()), state(prometheus(thanos=SIDECAR)), [(Kind.RESTART, f"`thanos`; {BACK}")]),
    "a sidecar less": (
        state(prometheus(thanos=SIDECAR)),
        state(prometheus()),
        [
            (
                Kind.DATA,
                "its Thanos sidecar goes: up to three hours that it has not uploaded never get into the bucket",
            ),
            (Kind.RESTART, f"`thanos`; {BACK}"),
        ],
    ),
    "another job alone": (
        state(prometheus()),
        state(prometheus(additionalScrapeConfigs={"name": "a"}, scrapeInterval="45s", evaluationInterval="45s")),
        [],
    ),
    "another operator": (
        state(prometheus(), operator("reloader:1")),
        state(prometheus(), operator("reloader:2")),
        [(Kind.RESTART, f"another operator, whose config reloader is `reloader:2`; {BACK}")],
    ),
    "another relabelling": (
        state(prometheus(remoteWrite=[QUEUE])),
        state(prometheus(remoteWrite=[{**QUEUE, "writeRelabelConfigs": []}])),
        [(Kind.QUEUE, "queue `hub` begins anew at this moment: `writeRelabelConfigs`")],
    ),
    "other external labels": (
        state(prometheus(remoteWrite=[QUEUE], externalLabels={"cluster": "a"})),
        state(prometheus(remoteWrite=[QUEUE], externalLabels={"cluster": "b"})),
        [
            (
                Kind.DATA,
                "external labels change (`cluster`): above, every series ends and another one begins",
            ),
            (Kind.QUEUE, "queue `hub` begins anew at this moment: `externalLabels`"),
        ],
    ),
    "a queue that goes": (
        state(prometheus(remoteWrite=[QUEUE])),
        state(prometheus()),
        [(Kind.QUEUE, "queue `hub` is gone")],
    ),
    "a queue that is new": (state(prometheus()), state(prometheus(remoteWrite=[QUEUE])), []),
    "an agent in its place": (
        state(prometheus(remoteWrite=[QUEUE])),
        state(prometheus("PrometheusAgent", remoteWrite=[QUEUE])),
        [
            (Kind.DATA, "Prometheus `p` is deleted, PrometheusAgent takes its place"),
            (Kind.QUEUE, "queue `hub` goes with its Prometheus"),
        ],
    ),
    "a shorter retention": (
        state(prometheus(retention="15d", retentionSize="40GiB")),
        state(prometheus(retention="2d", retentionSize="4096MiB")),
        [
            (Kind.DATA, "`retention` `15d` becomes `2d`: what is beyond it is deleted"),
            (Kind.DATA, "`retentionSize` `40GiB` becomes `4096MiB`: what is beyond it is deleted"),
        ],
    ),
    "a longer retention": (
        state(prometheus(retention="1w", retentionSize="900MiB")),
        state(prometheus(retention="8d", retentionSize="1GiB")),
        [],
    ),
    "no volume any more": (
        state(prometheus(storage=claim("50Gi"))),
        state(prometheus()),
        [
            (
                Kind.DATA,
                "it loses its volume: a restarted pod starts empty, and what the volume holds is read by nobody",
            ),
            (Kind.RESTART, f"`storage`; {BACK}"),
        ],
    ),
    "fewer replicas": (
        state(prometheus(replicas=2)),
        state(prometheus(replicas=1)),
        [(Kind.DATA, "2 replicas become 1: what the others hold is read by nobody")],
    ),
    "volumes that go": (
        state(prometheus(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain"})),
        state(prometheus(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"})),
        [
            (Kind.DATA, "volumes are deleted with their Prometheus from now on (`whenDeleted`)"),
        ],
    ),
    "a record that goes": (
        state(rule("cluster:a:sum", "cluster:b:sum")),
        state(rule("cluster:a:sum")),
        [(Kind.DATA, "no longer recorded: `cluster:b:sum`")],
    ),
    "a cluster that goes": (
        state(),
        None,
        [(Kind.DATA, "its namespace `monitoring` is deleted, with the release and whatever its Prometheus kept")],
    ),
    "a protected one that goes": (
        state(protected=True),
        None,
        [
            (
                Kind.DATA,
                (
                    "it leaves the page while its namespace `monitoring` is protected: `pulumi up` fails until "
                    "`protect: false` is deployed"
                ),
            )
        ],
    ),
    "another context": (
        state(),
        state(place="context us-1"),
        [
            (
                Kind.DATA,
                (
                    "it is reached by `context us-1` instead of `context eu-1`; where that is another cluster, nobody "
                    "deletes what runs in the first one"
                ),
            )
        ],
    ),
    "a published Service": (
        state(service("ClusterIP")),
        state(service("NodePort", nodePort=30443)),
        [(Kind.PORT, "Service `s` (NodePort) publishes port `9443`, `30443` of every node")],
    ),
    "another node port": (
        state(service("NodePort", nodePort=30443)),
        state(service("NodePort", nodePort=30444)),
        [(Kind.PORT, "Service `s` (NodePort) publishes port `9443`, `30444` of every node")],
    ),
    "a Service that is closed": (state(service("LoadBalancer")), state(service("ClusterIP")), []),
    "a route": (
        state(),
        state(made("HTTPRoute", "h", spec={"hostnames": ["a.example"]})),
        [(Kind.PORT, "HTTPRoute `h` answers for `a.example`")],
    ),
    "a caller more": (
        state(policy({"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 9443}]})),
        state(
            policy(
                {"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"podSelector": {}}], "ports": [{"port": 9443}]},
            )
        ),
        [(Kind.PORT, "NetworkPolicy `n` lets any pod call port `9443`")],
    ),
    "everybody": (
        state(policy()),
        state(policy({})),
        [(Kind.PORT, "NetworkPolicy `n` lets everybody call every port")],
    ),
    "a policy that goes before its pods": (
        state(policy(app="a"), pods(app="a", more="b")),
        state(pods(app="a", more="b")),
        [(Kind.PORT, "NetworkPolicy `n` is gone: it keeps nobody from its pods any more")],
    ),
    "a policy that goes with its pods": (state(policy(app="a"), pods(app="a")), state(pods(app="b")), []),
    "a node's own port": (
        state(),
        state(made("DaemonSet", "d", spec={"template": {"spec": {"containers": [{"ports": [{"hostPort": 9100}]}]}}})),
        [(Kind.PORT, "DaemonSet `d` listens on port `9100` of its nodes")],
    ),
    "a chart's password": (
        state(made("Secret", "s", data={"admin-password": "YQ==", "a": "YQ=="})),
        state(made("Secret", "s", data={"admin-password": "Yg==", "a": "Yg=="})),
        [(Kind.CREDENTIAL, "Secret `s` has another `admin-password`")],
    ),
    "nothing": (state(prometheus()), state(prometheus()), []),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_change_of_a_cluster_leads_to_is_called_out(name: str) -> None:
    before, after, expected = CASES[name]
    assert told(before, after) == expected


EDGES: dict[str, tuple[EdgeSide | None, EdgeSide | None, list[tuple[Kind, str]]]] = {
    "a higher budget": (
        EDGE,
        EDGE.model_copy(update={"budget": 6000}),
        [(Kind.BUDGET, "4000 becomes 6000 series")],
    ),
    "a lower budget": (EDGE, EDGE.model_copy(update={"budget": 3000}), []),
    "the next generation": (
        EDGE,
        EDGE.model_copy(update={"generation": 2}),
        [
            (
                Kind.CREDENTIAL,
                "generation 1 of its key becomes 2; its gateway accepts both, so nothing fails",
            )
        ],
    ),
    "a generation too far": (
        EDGE,
        EDGE.model_copy(update={"generation": 3}),
        [(Kind.CREDENTIAL, "generation 1 of its key becomes 3; its gateway refuses one of them")],
    ),
    "another way to show who one is": (
        EDGE,
        EDGE.model_copy(update={"facts": {**EDGE.facts, "auth": ("mtls",)}}),
        [
            (
                Kind.CREDENTIAL,
                (
                    "auth of its key, `basic`, becomes `mtls`; scrapes fail, and senders lose what they send, until "
                    "both ends have it"
                ),
            )
        ],
    ),
    "a match less": (
        EDGE,
        EDGE.model_copy(update={"facts": {**EDGE.facts, "matches": ("kube_pod_info",)}}),
        [(Kind.DATA, 'no longer carries `{__name__=~"cluster:.*"}`')],
    ),
    "an edge less": (EDGE, None, [(Kind.DATA, "nothing goes this way, by federation, any more")]),
    "an edge more": (None, EDGE, []),
    "a reader more": (
        None,
        EDGE.model_copy(update={"kind": "reader"}),
        [(Kind.CREDENTIAL, "a reader that may query from now on")],
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_what_a_change_of_an_edge_leads_to_is_called_out(name: str) -> None:
    before, after, expected = EDGES[name]
    assert of_edges(before, after) == expected


def test_what_is_the_same_of_several_clusters_is_told_once() -> None:
    pair = (state(prometheus()), state(prometheus(resources={})))
    (found,) = consequences(difference(Description(), Description(), {"eu-1": pair, "eu-2": pair}))
    assert found.where == ("eu-1", "eu-2")


def test_every_field_that_is_said_to_be_reloaded_is_one_of_the_operators() -> None:
    """Of the version whose source says so; one that is misspelt would be told as a restart."""
    crds = operator_crds(golang.find(), CHECKOUT / "local" / "tools" / "operator")
    fields: set[str] = set()
    for kind in ("prometheuses", "prometheusagents"):
        crd = yaml.load((crds / f"monitoring.coreos.com_{kind}.yaml").read_text(), Loader=yaml.CSafeLoader)
        for version in crd["spec"]["versions"]:
            fields |= set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
    assert {*RELOADED} - fields == set()
    assert not {*RELOADED} & {"resources", "secrets", "containers", "volumes", "image", "version", "web", "storage"}
