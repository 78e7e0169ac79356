"""What holds for every fleet that a page can describe."""

import copy
from itertools import pairwise
from typing import Any

import promql_parser
import pytest
from fleets import INTERVALS, MUTATIONS, Page, fleets
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fleet.alerts import alert_groups
from fleet.compiler import compile_page
from fleet.errors import FleetError, Problem
from fleet.names import Tier
from fleet.page import read_page, read_stack
from fleet.plan import Plan
from fleet.promql import Selector
from fleet.render import rendered_values

MODERATE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
FEW = settings(MODERATE, max_examples=15)

# An authority of nobody's: made for this test, and its key thrown away.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUVIux+42PC/pEcDUpTyFnPXuI9zYwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZXhhbXBsZTAeFw0yNjExMjEwOTEyNTJaFw0zNjExMTgwOTEy
NTJaMBIxEDAOBgNVBAMMB2V4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQlqYO7pTEjK71Axeumsuhr1H8k7vlc1kfpsSHg0vVLaqCtPoIPzKQibXNYvquR
EpXarcz0kfoXaBh+2ccJUndXo1MwUTAdBgNVHQ4EFgQUnKeWYmipvEBf66V2FgYZ
ip2dsqowHwYDVR0jBBgwFoAUnKeWYmipvEBf66V2FgYZip2dsqowDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAuczP8y8g/gKdzv7cquMspRk5euYm
TEinXnLwL7Y3I68CIA0OL6VgbA7W/ybpyUA6KAICrE/rTqje3lBxHUOodq4i
-----END CERTIFICATE-----
"""


def compiled(page: Page) -> Plan:
    return compile_page(read_page(page, {}))


def test_every_valid_fleet_compiles_to_a_plan_that_obeys_the_rules() -> None:
    sizes: list[int] = []

    @MODERATE
    @given(fleets())
    def obeys(page: Page) -> None:
        sizes.append(len(page["clusters"]))
        plan = compiled(page)
        assert list(plan.clusters) == list(page["clusters"])
        check_topology(plan)
        check_federation(plan)
        check_labels(plan)
        check_alerts(plan)
        for cluster in list(plan.clusters.values())[:3]:
            rendered_values(plan, cluster)

    obeys()
    assert max(sizes) >= 250, "no large fleet was drawn"


def check_topology(plan: Plan) -> None:
    (top,) = plan.tier(Tier.GLOBAL)
    above = {name: set() for name in plan.clusters}
    for edge in plan.federation:
        above[edge.child].add(edge.parent)
    for edge in plan.remote_write:
        above[edge.sender].add(edge.receiver)
    for name, cluster in plan.clusters.items():
        ways = [name]
        for _ in range(3):
            ways = [parent for each in ways for parent in above[each] or {each}]
        assert set(ways) == {top.name}, f"{name} does not reach the top"
        is_called = any(edge.callee == name for edge in plan.edges)
        assert (cluster.gateway is not None) == is_called
    assert all(plan.clusters[edge.parent].tier in {Tier.REGIONAL, Tier.GLOBAL} for edge in plan.federation)
    assert all(plan.clusters[edge.child].tier in {Tier.LEAF, Tier.REGIONAL} for edge in plan.federation)
    assert len({edge.id for edge in plan.edges}) == len(plan.edges)


def check_federation(plan: Plan) -> None:
    for edge in plan.scraped:
        # Nobody knows a discovered child's own intervals: they are taken to be its parent's.
        child = plan.clusters.get(edge.child, plan.clusters[edge.parent])
        assert edge.interval > max(child.scrape_interval, child.rule_interval)
        assert edge.timeout <= edge.interval
        assert edge.estimate <= edge.budget
        assert edge.sample_limit == 2 * edge.budget
        assert edge.body_size_limit >= 256 * edge.sample_limit
        assert all(edge.interval >= below.interval for below in plan.federated_by(edge.child))
        for match in edge.matches:
            selector = Selector.parse(match)
            assert selector.names_metrics
            assert not selector.selects("up")
    for cluster in plan.tier(Tier.REGIONAL):
        jobs = [edge.job for edge in plan.scraped if edge.parent == cluster.name]
        assert len(jobs) == len(set(jobs)) > 0


def check_labels(plan: Plan) -> None:
    for cluster in plan.clusters.values():
        speaks_for_itself = cluster.tier in {Tier.LEAF, Tier.EDGE}
        assert cluster.external_labels.get("cluster") == (cluster.name if speaks_for_itself else None)
    found = [edge.child for edge in plan.discovered]
    assert len(found) == len({*found, *plan.clusters}) - len(plan.clusters)
    for edge in plan.discovered:
        assert edge.labels == {"cluster": edge.child} | ({"region": edge.region} if edge.region is not None else {})
        assert edge.region == plan.clusters[edge.parent].region
    for edge in plan.scraped:
        own = {child.child for child in plan.discovered if child.parent in {edge.child, edge.parent}}
        assert set(edge.clusters) <= {cluster.name for cluster in plan.tier(Tier.LEAF)} | own
        assert ("cluster" in edge.labels) == edge.asserts_cluster
    for below, above in pairwise(edge.interval for edge in plan.federation if not edge.asserts_cluster):
        assert below == above


def check_alerts(plan: Plan) -> None:
    (top,) = plan.tier(Tier.GLOBAL)
    rules = [rule for group in alert_groups(plan, top) for rule in group.rules]
    for rule in rules:
        promql_parser.parse(rule["expr"])
    watched = [rule["labels"]["cluster"] for rule in rules if rule["alert"] == "ClusterSilent"]
    assert watched == [name for name, each in plan.clusters.items() if each.tier in {Tier.LEAF, Tier.EDGE}]


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_refused_with_an_error_that_names_the_field(name: str) -> None:
    @FEW
    @given(fleets())
    def refused(page: Page) -> None:
        path = MUTATIONS[name](page)
        assume(path is not None and page["clusters"])
        expected = ".".join(map(str, INTERVALS.get(name, path or ())))
        with pytest.raises(FleetError) as refusal:
            compiled(page)
        assert expected in [problem.path for problem in refusal.value.problems]

    refused()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["hub", "eu", "1m", "up"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def refusals(page: object) -> tuple[Problem, ...]:
    try:
        compile_page(read_page(page, {}))
    except FleetError as error:
        return error.problems
    return ()


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in entries for place in places(value, (*path, key)))]


RICH: Page = {
    "chart": {"source": "oci://x.example/chart", "version": "88.5.3", "registry": "mirror.example"},
    "intervals": {"scrape": "30s", "timeout": "10s", "federation": {"regional": "1m", "timeout": "30s"}},
    "gateway": {"type": "HTTPRoute", "host": "x", "parentRef": {"name": "a", "namespace": "b"}},
    "tls": {"mode": "cert-manager", "issuer": {"name": "internal"}, "ca": CERTIFICATE},
    "authority": {"trust": [1, 2], "issue": 2, "validFor": "90d", "renewBefore": "30d"},
    "keys": {"generation": 2, "edges": {"hub-federates-eu": {"auth": "basic", "generation": 3}}},
    "regions": ["eu"],
    "tiers": {"leaf": {"storage": {"size": "1Gi", "class": "x"}, "resources": {"limits": {"memory": "1Gi"}}}},
    "expect": {"namespaces": 1},
    "networkPolicies": {"apiServer": ["192.0.2.0/28"], "callers": ["192.0.2.0/24"]},
    "keep": ["a_metric"],
    "federate": [{"match": '{__name__=~"a_metric|kube_pod_info"}', "reason": "r", "series": 1}],
    "destinations": {
        "x": {
            "kind": "mimir",
            "url": "https://x.example/api/v1/push",
            "tenant": "fleet",
            "senders": "hub",
            "auth": {"basic": {"secret": "x", "usernameKey": "user"}, "mtls": {"secret": "x"}},
            "tls": {"serverName": "x.example"},
            "keep": ["region:.+"],
            "series": 1000,
            "queue": {"maxShards": 20, "maxBackoff": "10s"},
            "metadata": False,
        },
    },
    "alerting": {"after": "10m", "webhook": {"secret": "x"}, "runbooks": "https://x.example"},
    "values": {"prometheus": {"prometheusSpec": {"tolerations": [{"key": "x"}]}}},
    "clusters": {
        "hub": {
            "tier": "global",
            "context": "hub",
            "gateway": {"port": 81},
            "discover": {"team-a": {"namespace": "a", "port": "gateway", "budget": 3900, "expect": {"nodes": 1}}},
        },
        "eu": {"tier": "regional", "region": "eu", "kubeconfigSecret": "eu", "parent": "hub", "gateway": {"port": 82}},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "1", "up": "both", "parent": ["eu"], "labels": {"a": "b"}},
        "shop": {"tier": "edge", "kubeconfig": "shop.yaml", "values": {"grafana": {"x": 1}},
                 "maintenance": {"until": "2026-12-01T06:00:00Z", "reason": "r"}},
    },
}  # fmt: skip


def test_the_rich_fleet_is_sound() -> None:
    assert len(compiled(RICH).edges) == 6


@settings(MODERATE, max_examples=600)
@given(st.sampled_from(places(RICH)), JSON)
def test_whatever_stands_in_a_field_nothing_ends_in_a_traceback(place: tuple[Any, ...], value: object) -> None:
    page: Any = copy.deepcopy(RICH)
    if place:
        node = page
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = value
    else:
        page = value
    for problem in refusals(page):
        assert problem.path
        assert problem.message


@settings(MODERATE, max_examples=200)
@given(st.binary(max_size=200) | st.text(alphabet="config:{}[]&*!|>-'\"# \n\tab1.", max_size=80).map(str.encode))
def test_whatever_stands_in_a_file_nothing_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "Pulumi.fuzz.yaml").write_bytes(content)
    with pytest.raises(FleetError):
        read_stack("fuzz", folder, {})
