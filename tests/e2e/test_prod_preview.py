"""Stack prod as a company would preview it: with the policy pack, on Kubernetes that has never heard of it.

Its twelve contexts lead to one real API server: a preview asks only what it would make of each object.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from fleet.compiler import compile_page
from fleet.names import PAGE_KEY, Tier
from fleet.page import read_stack
from fleet.plan import Plan
from local.api_server import ApiServer, api_server
from local.environment import CHECKOUT
from local.trial import Trial, prepare

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

STACK = "prod"
CORE = "kubernetes:core/v1"
RELEASE = "kubernetes:helm.sh/v3:Release"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_page(read_stack(STACK, CHECKOUT, {}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def trial(server: ApiServer, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    made = prepare(tmp_path_factory.mktemp("trial"), server, [*plan.clusters])
    made.init(STACK)
    return made


@pytest.fixture(scope="module")
def preview(trial: Trial) -> str:
    done = trial.preview(STACK, "--policy-pack", "policies")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def created(preview: str) -> set[tuple[str, str]]:
    """(type, name) of every resource that would be made."""
    return set(re.findall(r"^ \+  (\S+) (\S+) create", preview, re.MULTILINE))


def test_every_cluster_would_get_its_provider_and_its_release(preview: str, plan: Plan) -> None:
    made = created(preview)
    for kind, suffix in (("pulumi:providers:kubernetes", ""), (RELEASE, "-release")):
        assert {name for each, name in made if each == kind} == {f"{name}{suffix}" for name in plan.clusters}


def test_every_cluster_that_is_called_would_get_its_gateway(preview: str, plan: Plan) -> None:
    called = {cluster.name for cluster in plan.clusters.values() if cluster.gateway is not None}
    assert len(called) == len(plan.clusters) - len([*plan.tier(Tier.EDGE)])
    made = created(preview)
    for kind, suffix in ((f"{CORE}:Secret", "accounts"), (f"{CORE}:Service", "service")):
        names = {name for each, name in made if each == kind and name.endswith(f"-{suffix}")}
        assert names == {f"{name}-gateway-{suffix}" for name in called}


def test_every_edge_would_get_a_credential_that_its_caller_holds(preview: str, plan: Plan) -> None:
    made = created(preview)
    assert {name for each, name in made if each == "prometheus-fleet:index:Credential"} == {
        edge.id for edge in plan.edges
    }
    # Of this generation and the next; and with `auth: both`, a certificate of this one.
    passwords = {f"{edge.id}.{generation}" for edge in plan.edges for generation in (1, 2)}
    assert {name for each, name in made if each == "random:index:RandomPassword"} == passwords
    signed = {name for each, name in made if each == "tls:index:LocallySignedCert"}
    gateways = {f"{cluster.name}-gateway" for cluster in plan.clusters.values() if cluster.gateway is not None}
    assert signed == gateways | {f"{edge.id}.1" for edge in plan.edges}
    holders = {edge.parent: "federation" for edge in plan.federation}
    holders |= {edge.sender: "remote-write" for edge in plan.remote_write}
    assert {(f"{CORE}:Secret", f"{name}-{way}-credentials") for name, way in holders.items()} <= made


def test_the_preview_shows_the_edges_nearest_to_their_budget(preview: str, plan: Plan) -> None:
    nearest = max(plan.federation, key=lambda edge: edge.estimate / edge.budget)
    assert f"series budgets: {len(plan.federation)} federation edges, " in preview
    share = round(100 * nearest.estimate / nearest.budget)
    shown = rf"{nearest.child} → {nearest.parent} +{nearest.estimate} of {nearest.budget} +{share} %"
    assert re.search(shown, preview), preview


def test_the_preview_shows_no_password_and_no_key(preview: str) -> None:
    assert "PRIVATE KEY" not in preview
    assert "$2" not in preview
    assert "client-key-data" not in preview


@pytest.mark.usefixtures("preview")
def test_the_preview_asked_the_api_server_of_every_cluster(server: ApiServer, plan: Plan) -> None:
    """Where none answers, a preview goes on with what the page says alone."""
    answered = 0
    for line in server.kubectl("get", "--raw", "/metrics").splitlines():
        if line.startswith("apiserver_request_total{") and all(
            label in line for label in ('dry_run="All"', 'resource="namespaces"', 'code="201"')
        ):
            answered += int(line.rpartition(" ")[2])
    assert answered >= len(plan.clusters)


def test_the_policy_pack_judged_all_but_addresses_that_are_not_known_yet(preview: str, plan: Plan) -> None:
    assert "[mandatory]" not in preview, preview
    queue = re.escape("values.prometheus.prometheusSpec.remoteWrite.0.url")
    for policy in ("tls", "no-inline-secrets"):
        said = rf"  {policy}  \({RELEASE}: (\S+)-release\)\n.*not judged, because not known yet: {queue}\n"
        assert {*re.findall(said, preview)} == {each.name for each in plan.tier(Tier.EDGE)}
    unjudged = re.findall(r"can.t run policy .(\S+). .* not known yet: (\S+)", preview)
    assert len(unjudged) == 2 * len([*plan.tier(Tier.EDGE)]), Counter(unjudged)


def test_the_pack_brings_the_settings_of_the_stack(trial: Trial) -> None:
    """prod.json asks for pairs of leaves and aggregators; nothing else does."""
    refused = with_leaf(trial, replicas=1)
    assert refused.returncode != 0
    said = "eu-1-release: values.prometheus.prometheusSpec.replicas: one Prometheus is one that may be missing"
    assert said in refused.stdout, refused.stdout


def test_a_page_value_that_renames_federated_labels_is_refused_in_the_preview(trial: Trial) -> None:
    monitor = {"name": "another-fleet", "endpoints": [{"port": "web", "path": "/federate"}]}
    refused = with_leaf(trial, values={"prometheus": {"additionalServiceMonitors": [monitor]}})
    assert refused.returncode != 0
    assert "❌ prometheus-fleet@" in refused.stdout
    assert (
        "values.prometheus.additionalServiceMonitors.0.endpoints.0: "
        "scrapes /federate without honorLabels; set `honorLabels: true` on the job"
    ) in refused.stdout
    judged = set(re.findall(rf"\[mandatory\].*  \({RELEASE}: (\S+)-release\)", refused.stdout))
    assert judged == {"eu-1"}


def with_leaf(trial: Trial, **fields: Any) -> Any:
    """The preview with these fields of one leaf on the page."""
    file = trial.tree / f"Pulumi.{STACK}.yaml"
    before = file.read_text()
    document = yaml.safe_load(before)
    document["config"][PAGE_KEY]["clusters"]["eu-1"] |= fields
    file.write_text(yaml.safe_dump(document))
    try:
        return trial.preview(STACK, "--policy-pack", "policies")
    finally:
        file.write_text(before)
