"""Receivers outside of the fleet: what is refused, and what a sender's queue becomes of what the page says."""

import json
from datetime import timedelta
from typing import Any, get_args

import pytest
import yaml
from destinations import (
    ARCHIVE,
    CLUSTERS,
    Page,
    all_queues,
    documented,
    page,
    plan,
    problems,
    queues,
    selected_secrets,
    validated,
)

from fleet.alerts import alert_groups
from fleet.explain import explain
from fleet.names import DESTINATION_CREDENTIALS, Tier
from fleet.network_policies import network_policies
from fleet.page import QueueSettings
from fleet.page.destinations import Kind
from fleet.page.problems import did_you_mean
from fleet.plan import Plan
from fleet.queues import CATCH_UP, queue
from fleet.render import render
from fleet.topology import mermaid, outside, topology_table

EXAMPLES = documented()
MIMIR: Page = {**ARCHIVE, "kind": "mimir", "url": "https://mimir.example.com/api/v1/push", "tenant": "fleet"}
WITHIN = "http://mimir.mimir.svc/api/v1/push"
ID, TENANT = "00000000-0000-0000-0000-000000000000", "11111111-1111-1111-1111-111111111111"
TOKENS = "https://login.example.com/oauth2/token"
PARAMS = {"audience": "metrics"}


def auth(**ways: object) -> Page:
    return page(auth=ways)


def two(lower: Page, upper: Page) -> Page:
    """Two destinations of one store, as far as neither says otherwise."""
    return {"clusters": CLUSTERS, "destinations": {"lower": {**MIMIR, **lower}, "upper": {**MIMIR, **upper}}}


REFUSALS: dict[str, tuple[Page, str, str]] = {
    "no auth": (page(auth=None), "auth", "is missing"),
    "an auth that is empty": (
        page() | {"destinations": {"archive": {**ARCHIVE, "auth": None}}},
        "auth",
        "there is nothing here: it says how a sender shows who it is, or none",
    ),
    "an auth of nothing": (
        auth(),
        "auth.basic",
        "there is no credential here; one of basic, bearer, oauth2, sigv4, azureAd, mtls says it",
    ),
    "no auth outside of the cluster": (
        page(auth="none"),
        "auth",
        "it is not in the senders' own cluster, and says nothing of who may write there",
    ),
    "two kinds of auth": (
        auth(basic={"secret": "a"}, bearer={"secret": "a"}),
        "auth.bearer",
        "basic and bearer exclude each other: a receiver is shown one of them",
    ),
    "two sources of a token": (
        auth(bearer={"secret": "a", "config": "b"}),
        "auth.bearer.config",
        "secret and config exclude each other: a credential comes from one place",
    ),
    "a token of nowhere": (auth(bearer={}), "auth.bearer.secret", "is missing, or config instead of it"),
    "a key of no Secret": (
        auth(bearer={"config": "token", "key": "token"}),
        "auth.bearer.key",
        "has no meaning without secret: it is a key of that",
    ),
    "a password of nobody": (
        auth(basic={"config": "password"}),
        "auth.basic.username",
        "is missing: config holds the password alone",
    ),
    "two user names": (
        auth(basic={"secret": "a", "username": "me", "usernameKey": "user"}),
        "auth.basic.usernameKey",
        "has no meaning beside username: it comes from one place",
    ),
    "a token that is asked for in clear": (
        auth(oauth2={"secret": "a", "clientId": "me", "tokenUrl": "http://login.example.com/token"}),
        "auth.oauth2.tokenUrl",
        "the client's secret would travel in clear",
    ),
    "a role's word without a role": (
        auth(sigv4={"region": "eu-west-1", "externalId": "x"}),
        "auth.sigv4.roleArn",
        "is missing: externalId is shown to a role",
    ),
    "a secret access key of nobody": (
        auth(sigv4={"region": "eu-west-1", "config": "key"}),
        "auth.sigv4.accessKeyId",
        "is missing: config holds the secret access key alone",
    ),
    "a region that nothing says": (
        auth(sigv4={}),
        "auth.sigv4.region",
        "is missing, and not to be read off the URL",
    ),
    "two ways into Azure": (
        auth(azureAd={"managedIdentity": {}, "sdk": {}}),
        "auth.azureAd.sdk",
        "managedIdentity and sdk exclude each other: Entra ID knows a sender in one of these ways",
    ),
    "no way into Azure": (
        auth(azureAd={}),
        "auth.azureAd.managedIdentity",
        "is missing, or workloadIdentity, oauth or sdk instead of it",
    ),
    "a client that is no UUID": (
        auth(azureAd={"managedIdentity": {"clientId": "me"}}),
        "auth.azureAd.managedIdentity.clientId",
        "'me' is not a UUID such as 00000000-0000-0000-0000-000000000000",
    ),
    "a key without its certificate": (
        auth(mtls={"config": "key"}),
        "auth.mtls.certificate",
        "is missing: config holds its key alone",
    ),
    "a kind that is none": (
        page(kind="mimer"),
        "kind",
        (
            "'mimer' is not one of amazon, azure, cortex, generic, google, grafana-cloud, mimir, prometheus, thanos, "
            "victoriametrics; did you mean mimir?"
        ),
    ),
    "a path of another kind": (
        page(**{**MIMIR, "url": "https://mimir.example.com/api/v1/write"}),
        "url",
        "kind mimir takes samples at /api/v1/push, not at /api/v1/write",
    ),
    "no path": (
        page(kind="thanos", url="https://thanos.example.com"),
        "url",
        "kind thanos takes samples at /api/v1/receive, not at /",
    ),
    "a slash at the end": (
        page(kind="victoriametrics", url="https://vm.example.com/insert/0/prometheus/"),
        "url",
        "kind victoriametrics takes samples at /insert/0/prometheus, not at /insert/0/prometheus/",
    ),
    "a tenant's path, and another kind's behind it": (
        page(kind="victoriametrics", url="https://vm.example.com/insert/0/prometheus/api/v1/push"),
        "url",
        (
            "kind victoriametrics takes samples at /insert/0/prometheus/api/v1/write, not at "
            "/insert/0/prometheus/api/v1/push"
        ),
    ),
    "a prefix alone": (
        page(kind="thanos", url="https://example.com/metrics/"),
        "url",
        "kind thanos takes samples at /metrics/api/v1/receive, not at /metrics/",
    ),
    "a query's path": (
        page(kind="grafana-cloud", url="https://x.grafana.net/api/prom", auth={"basic": {"secret": "a"}}),
        "url",
        "kind grafana-cloud takes samples at /api/prom/push, not at /api/prom",
    ),
    "an Azure without its version": (
        page(
            kind="azure",
            url="https://a.ingest.monitor.azure.com/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write",
            auth={"azureAd": {"managedIdentity": {}}},
        ),
        "url",
        "has no api-version: it ends with ?api-version=2023-04-24",
    ),
    "a token among the URL's parameters": (
        page(url="https://archive.example.com/push?precision=ms&api_key=abcdef"),
        "url",
        (
            "a URL with a secret among its parameters in clear; keep it in a Kubernetes Secret that auth names, as in "
            "auth: {bearer: {secret: NAME}}"
        ),
    ),
    "a credential in clear": (
        page(url="http://archive.example.com/push"),
        "url",
        "the credential would travel in clear",
    ),
    "a credential in clear within the cluster": (
        page(url="http://archive.storage.svc/push"),
        "url",
        "the credential would travel in clear",
    ),
    "TLS over http": (
        page(url="http://archive.storage.svc/push", auth="none", tls={"serverName": "x"}),
        "tls",
        "has no effect: the URL is http://",
    ),
    "a tenant that is missing": (
        page(kind="mimir", url="https://mimir.example.com/api/v1/push"),
        "tenant",
        "is missing: mimir keeps the series of each tenant apart (header X-Scope-OrgID)",
    ),
    "a tenant that nobody asks for": (
        page(tenant="fleet"),
        "tenant",
        "has no meaning for kind generic: only for cortex, mimir, thanos",
    ),
    "a tenant that stands in the URL": (
        page(kind="victoriametrics", url="https://vm.example.com/insert/0/prometheus/api/v1/write", tenant="7"),
        "tenant",
        "has no meaning for kind victoriametrics: it stands in the URL, as in /insert/0/prometheus",
    ),
    "an Amazon with a password": (
        page(
            kind="amazon",
            url="https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
            auth={"basic": {"secret": "a"}},
        ),
        "auth",
        "kind amazon is written to with sigv4",
    ),
    "metadata where it is always": (
        page(messageVersion="V2.0", metadata=False),
        "metadata",
        "has no effect: messages of V2.0 have it in them",
    ),
    "a key that is none": (
        page(sender="hub"),
        "sender",
        "unknown key; did you mean senders?",
    ),
    "no sender": (page(senders=None), "senders", "is missing"),
    "an unused destination": (page(senders=[]), "senders", "there is nothing in it"),
    "a sender that is none": (
        page(senders=["hup"]),
        "senders.0",
        "there is no cluster 'hup'; did you mean hub?",
    ),
    "a tier that nobody has": (
        {"clusters": {"hub": CLUSTERS["hub"]}, "destinations": {"archive": {**ARCHIVE, "senders": "edge"}}},
        "senders.0",
        "no cluster has tier edge: nobody writes here",
    ),
    "a cluster beside its tier": (
        page(senders=["leaf", "eu-1"]),
        "senders.1",
        "has no effect: leaf stands for all of its clusters already",
    ),
    "a keep list that keeps nothing": (
        page(keep=["cluster:namespace_cpu:sun"]),
        "keep.0",
        (
            "keeps nothing: no rule and no allowed metric of hub is like 'cluster:namespace_cpu:sun'"
            "; did you mean cluster:namespace_cpu:sum?"
        ),
    ),
    "a metric that nobody allows": (
        page(senders="leaf", keep=["cluster:.+", "windows_cs_hostname"]),
        "keep.1",
        (
            "keeps nothing: no rule and no allowed metric of eu-1 and us-1 is like 'windows_cs_hostname'"
            "; keep: [windows_cs_hostname] at the top of the page allows it"
        ),
    ),
    "an empty keep list": (page(keep=[]), "keep", "there is nothing in it"),
    "a pattern that is none": (
        page(keep=["region:("]),
        "keep.0",
        "'region:(' is neither the name of a metric nor a pattern of names, as region:.+ is one",
    ),
    "a sender that is left nothing": (
        page(senders=["hub", "shop-1"], keep=["global:.+"]),
        "senders.1",
        "keep leaves nothing of what shop-1 holds",
    ),
    "a tier that is left nothing": (
        page(senders=["global", "edge"], keep="global:.+"),
        "senders.1",
        "keep leaves nothing of what edge holds",
    ),
    "a queue that is too small": (
        page(series=900000, queue={"maxShards": 2, "maxSamplesPerSend": 500}),
        "queue.maxShards",
        (
            "carries 2000 samples per second at most, 2 requests of 500 each half second, and hub is expected to "
            "have 30000"
        ),
    ),
    "more shards than there may be": (
        page(queue={"minShards": 5, "maxShards": 2}),
        "queue.maxShards",
        "is less than minShards, which is 5",
    ),
    "a shard that holds less than it sends": (
        page(queue={"maxSamplesPerSend": 5000, "capacity": 2000}),
        "queue.capacity",
        "is less than maxSamplesPerSend, which is 5000",
    ),
    "a backoff that shrinks": (
        page(queue={"minBackoff": "10s", "maxBackoff": "1s"}),
        "queue.maxBackoff",
        "is shorter than minBackoff, which is 10s",
    ),
    "a backoff that outlasts an outage": (
        page(queue={"maxBackoff": "10h"}),
        "queue.maxBackoff",
        "is over 5m: a receiver that is back would be left waiting",
    ),
    "a request that no Prometheus takes": (
        page(queue={"maxSamplesPerSend": 1_000_000}),
        "queue.maxSamplesPerSend",
        "input should be less than or equal to 10000",
    ),
}


@pytest.mark.parametrize(("given", "field", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_wrong_destination_is_refused_with_the_field_and_the_reason(given: Page, field: str, message: str) -> None:
    assert (f"destinations.archive.{field}", message) in [(path, said) for path, said, _ in problems(given)]


@pytest.mark.parametrize("given", [given for given, _, _ in REFUSALS.values()], ids=REFUSALS)
def test_whatever_is_offered_instead_is_yaml_of_that_place(given: Page) -> None:
    for path, _, fix in problems(given):
        if fix:
            assert next(iter(yaml.safe_load(fix))) == path.split(".")[0]


@pytest.mark.parametrize(
    "name",
    [
        "no auth outside of the cluster",
        "a path of another kind",
        "no path",
        "a slash at the end",
        "a tenant's path, and another kind's behind it",
        "a prefix alone",
        "a query's path",
        "a pattern that is none",
        "an Azure without its version",
        "a token among the URL's parameters",
        "a credential in clear",
        "a tenant that is missing",
        "a queue that is too small",
        "a keep list that keeps nothing",
        "a shard that holds less than it sends",
        "a backoff that shrinks",
        "a backoff that outlasts an outage",
        "a request that no Prometheus takes",
        "a region that nothing says",
    ],
)
def test_what_is_offered_is_accepted(name: str) -> None:
    given = REFUSALS[name][0]
    ((_, _, fix),) = problems(given)
    assert problems(merged(given, yaml.safe_load(fix))) == []


def merged(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}


def test_there_is_an_example_of_every_kind() -> None:
    shown = {each["kind"] for example in EXAMPLES.values() for each in example["destinations"].values()}
    assert shown == set(get_args(Kind))


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_a_documented_example_is_a_page_that_compiles_without_a_warning_of_its_own(example: Page) -> None:
    plain = plan({"clusters": CLUSTERS}).warnings
    assert plan(example).warnings == plain


WAYS: dict[str, tuple[Page, dict[str, Any], dict[str, str]]] = {
    "basic of a Secret": (
        {"basic": {"secret": "a", "passwordKey": "token"}},
        {"basicAuth": {"username": {"name": "a", "key": "username"}, "password": {"name": "a", "key": "token"}}},
        {},
    ),
    "basic of the config": (
        {"basic": {"username": "123", "config": "token"}},
        {"basicAuth": {"username": "archive.username", "password": "archive.password"}},
        {"archive.username": "123", "archive.password": "token"},
    ),
    "basic with a known name": (
        {"basic": {"username": "123", "secret": "a"}},
        {"basicAuth": {"username": "archive.username", "password": {"name": "a", "key": "password"}}},
        {"archive.username": "123"},
    ),
    "bearer": (
        {"bearer": {"config": "token"}},
        {"authorization": {"credentials": "archive.token"}},
        {"archive.token": "token"},
    ),
    "oauth2": (
        {"oauth2": {"clientId": "me", "config": "c", "tokenUrl": TOKENS, "scopes": ["s"], "endpointParams": PARAMS}},
        {
            "oauth2": {
                "clientId": {"secret": "archive.client-id"},
                "clientSecret": "archive.client-secret",
                "tokenUrl": TOKENS,
                "scopes": ["s"],
                "endpointParams": PARAMS,
                "tlsConfig": {"minVersion": "TLS12"},
            }
        },
        {"archive.client-id": "me", "archive.client-secret": "c"},
    ),
    "sigv4 of the pod": ({"sigv4": {"region": "eu-west-1"}}, {"sigv4": {"region": "eu-west-1"}}, {}),
    "sigv4 of the config": (
        {"sigv4": {"region": "eu-west-1", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "config": "k"}},
        {
            "sigv4": {
                "region": "eu-west-1",
                "accessKey": "archive.access-key-id",
                "secretKey": "archive.secret-access-key",
            }
        },
        {"archive.access-key-id": "AKIAIOSFODNN7EXAMPLE", "archive.secret-access-key": "k"},
    ),
    "sigv4 of a Secret, for a role": (
        {"sigv4": {"region": "eu-west-1", "secret": "a", "roleArn": "arn:aws:iam::1:role/r", "externalId": "x"}},
        {
            "sigv4": {
                "region": "eu-west-1",
                "accessKey": {"name": "a", "key": "access-key-id"},
                "secretKey": {"name": "a", "key": "secret-access-key"},
                "roleArn": "arn:aws:iam::1:role/r",
                "externalId": "x",
            }
        },
        {},
    ),
    "a managed identity": (
        {"azureAd": {"managedIdentity": {"clientId": ID}, "cloud": "AzureChina"}},
        {"azureAd": {"cloud": "AzureChina", "managedIdentity": {"clientId": ID}}},
        {},
    ),
    "a workload's identity": (
        {"azureAd": {"workloadIdentity": {"clientId": ID, "tenantId": TENANT}}},
        {"azureAd": {"cloud": "AzurePublic", "workloadIdentity": {"clientId": ID, "tenantId": TENANT}}},
        {},
    ),
    "an application of Azure": (
        {"azureAd": {"oauth": {"clientId": ID, "tenantId": TENANT, "config": "s"}}},
        {
            "azureAd": {
                "cloud": "AzurePublic",
                "oauth": {"clientId": ID, "tenantId": TENANT, "clientSecret": "archive.client-secret"},
            }
        },
        {"archive.client-secret": "s"},
    ),
    "whatever Azure's SDK finds": (
        {"azureAd": {"sdk": {"tenantId": TENANT}}},
        {"azureAd": {"cloud": "AzurePublic", "sdk": {"tenantId": TENANT}}},
        {},
    ),
    "a client's certificate": (
        {"mtls": {"secret": "a"}, "bearer": {"secret": "b"}},
        {
            "tlsConfig": {
                "minVersion": "TLS12",
                "cert": {"secret": {"name": "a", "key": "tls.crt"}},
                "keySecret": {"name": "a", "key": "tls.key"},
            },
            "authorization": {"credentials": {"name": "b", "key": "token"}},
        },
        {},
    ),
}


def ours(node: Any) -> Any:
    """Selectors of the sender's own Secret, by their key alone."""
    if isinstance(node, dict):
        return node["key"] if node.get("name") == DESTINATION_CREDENTIALS else {k: ours(v) for k, v in node.items()}
    return [*map(ours, node)] if isinstance(node, list) else node


@pytest.mark.parametrize(("shown", "fields", "held"), WAYS.values(), ids=WAYS)
def test_a_credential_is_named_and_what_the_page_has_of_it_lies_in_one_secret_of_the_senders(
    shown: Page, fields: Page, held: Page
) -> None:
    compiled = plan(page(auth=shown))
    (written,) = queues(compiled, "hub")
    expected = {"tlsConfig": {"minVersion": "TLS12"}, **fields}
    assert {key: ours(value) for key, value in written.items() if key in expected} == expected
    assert not {"basicAuth", "authorization", "oauth2", "sigv4", "azureAd"} & set(written) - set(fields)
    files = {path.name: text for path, text in render(compiled).items() if path.parts[0] == "hub"}
    kept = yaml.safe_load(files.get(f"secret-{DESTINATION_CREDENTIALS}.yaml", "stringData: {}"))["stringData"]
    assert set(kept) == set(held)
    assert set(selected_secrets(written).get(DESTINATION_CREDENTIALS, {})) == set(held)


@pytest.mark.parametrize("kind", ["Prometheus", "PrometheusAgent"])
def test_every_queue_has_the_fields_of_the_pinned_crd_and_no_others(kind: str) -> None:
    full = {
        "tls": {"serverName": "x.example", "minVersion": "TLS13"},
        "series": 1000000,
        "queue": {"batchSendDeadline": "10s"},
        "metadata": False,
        "nativeHistograms": True,
    }
    pages = [page(auth=shown, **full) for shown, _, _ in WAYS.values()]
    written = [
        each
        for compiled in map(plan, [*pages, page(messageVersion="V2.0"), *EXAMPLES.values()])
        for name in compiled.clusters
        for each in all_queues(compiled, name)
    ]
    answer = validated(kind, {"remoteWrite": written})
    assert (answer["errors"], answer["dropped"]) == ([], None)


def test_the_crds_own_schema_would_say_what_is_wrong() -> None:
    """Or the test before would prove nothing."""
    wrong = {"url": "x", "retryOnRateLimit": True, "queueConfig": {"maxShards": "7"}}
    answer = validated("Prometheus", {"remoteWrite": [wrong]})
    assert answer["dropped"] == ["spec.remoteWrite[0].retryOnRateLimit"]
    assert len(answer["errors"]) == 2


def test_a_tenant_is_a_header_where_the_receiver_reads_one() -> None:
    thanos = {"kind": "thanos", "url": "https://thanos.example.com/api/v1/receive"}
    for changes, headers in (
        (MIMIR, {"X-Scope-OrgID": "fleet"}),
        ({**MIMIR, "kind": "cortex"}, {"X-Scope-OrgID": "fleet"}),
        ({**thanos, "tenant": "fleet"}, {"THANOS-TENANT": "fleet"}),
        (thanos, None),
    ):
        (written,) = queues(plan(page(**changes)), "hub")
        assert written.get("headers") == headers


def test_what_the_page_does_not_ask_for_is_left_to_prometheus() -> None:
    (written,) = queues(plan(page()), "hub")
    assert set(written) == {"name", "url", "authorization", "tlsConfig", "queueConfig"}


def test_metadata_histograms_and_the_messages_version_are_the_pages_to_say() -> None:
    (written,) = queues(plan(page(metadata=False, nativeHistograms=True)), "hub")
    assert (written["metadataConfig"], written["sendNativeHistograms"]) == ({"send": False}, True)
    (written,) = queues(plan(page(messageVersion="V2.0")), "hub")
    assert written["messageVersion"] == "V2.0"


def test_within_the_cluster_a_receiver_may_ask_for_nothing_and_is_reached_in_clear() -> None:
    (written,) = queues(plan(page(url="http://archive.storage.svc:8080/push", auth="none")), "hub")
    assert set(written) == {"name", "url", "queueConfig"}


def test_who_speaks_for_itself_cannot_speak_for_others() -> None:
    forced = {
        name: written.get("writeRelabelConfigs", [])
        for name in ("hub", "eu", "eu-1", "shop-1")
        for written in queues(plan(page(senders=name)), name)
    }
    assert forced == {
        "hub": [],
        "eu": [],
        "eu-1": [
            {"targetLabel": "cluster", "replacement": "eu-1"},
            {"targetLabel": "region", "replacement": "eu"},
        ],
        "shop-1": [{"targetLabel": "cluster", "replacement": "shop-1"}, {"action": "labeldrop", "regex": "region"}],
    }


def test_a_tier_stands_for_all_of_its_clusters() -> None:
    compiled = plan(page(senders=["leaf", "hub"], keep=["cluster:.+", "global:.+"]))
    assert [name for name, each in compiled.clusters.items() if each.destinations] == ["hub", "eu-1", "us-1"]


def test_one_pattern_needs_no_list() -> None:
    assert queues(plan(page(keep="region:.+")), "hub") == queues(plan(page(keep=["region:.+"])), "hub")


def test_whether_targets_are_up_may_be_kept_where_it_means_somebody_elses() -> None:
    assert problems(page(senders="leaf", keep=["cluster:.+", "up"])) == []


def test_several_destinations_of_one_cluster_keep_what_each_is_for() -> None:
    second = {**ARCHIVE, "url": "https://other.example.com/push", "keep": ["global:.+"]}
    given = {"clusters": CLUSTERS, "destinations": {"archive": {**ARCHIVE, "keep": ["region:.+"]}, "second": second}}
    kept = {each["name"]: each["writeRelabelConfigs"][0]["regex"] for each in queues(plan(given), "hub")}
    assert kept == {"archive": "region:.+", "second": "global:.+"}


@pytest.mark.parametrize("name", ["hub", "thanos", "hub.0"])
def test_a_name_that_may_not_be_is_offered_as_another_one_with_all_that_it_stands_for(name: str) -> None:
    others = {"clusters": CLUSTERS, "thanos": {"objectStorage": {"config": "o"}, "senders": "edge"}}
    given = {**others, "destinations": {name: {**MIMIR, "senders": ["eu"], "auth": "none", "url": WITHIN}}}
    ((path, _, fix),) = problems(given)
    assert path == f"destinations.{name}"
    (renamed,) = yaml.safe_load(fix)["destinations"].values()
    assert renamed == given["destinations"][name]
    assert problems({**others, **yaml.safe_load(fix)}) == []


@pytest.mark.parametrize(
    ("senders", "keep", "right"),
    [
        ("hub", "nothing:.+", "global:.+"),
        ("eu", "nothing:.+", "region:.+"),
        ("leaf", "node_foo", "cluster:.+"),
        ("leaf", "cluster:namespace_cpu:sun", "cluster:namespace_cpu:sum"),
    ],
)
def test_instead_of_what_keeps_nothing_the_nearest_is_offered_or_what_the_tier_records(
    senders: str, keep: str, right: str
) -> None:
    given = page(senders=senders, keep=[keep])
    ((_, _, fix),) = problems(given)
    assert yaml.safe_load(fix) == {"destinations": {"archive": {"keep": [right]}}}
    assert problems(merged(given, yaml.safe_load(fix))) == []


def test_of_an_edge_that_records_nothing_a_metric_of_such_a_name_is_offered() -> None:
    ((_, _, fix),) = problems(page(senders="edge", keep=["node_foo"]))
    (right,) = yaml.safe_load(fix)["destinations"]["archive"]["keep"]
    assert right.startswith("node_")


def test_a_new_name_is_free_as_well() -> None:
    given = page() | {"destinations": {"hub": ARCHIVE, "hub-2": {**ARCHIVE, "url": "https://other.example.com/push"}}}
    ((_, _, fix),) = problems(given)
    assert list(yaml.safe_load(fix)["destinations"]) == ["hub-3"]


def test_a_secret_is_not_repeated_with_a_new_name() -> None:
    given = page() | {"destinations": {"hub.0": {**ARCHIVE, "url": "https://me:hunter2@archive.example.com/push"}}}
    assert "hunter2" not in str(problems(given))


def fed_twice(lower: Page, upper: Page) -> list[tuple[str, str]]:
    return [(path, message) for path, message, _ in problems(two(lower, upper))]


LEAVES: Page = {"senders": "leaf", "keep": ["cluster:.+"]}


def test_a_hub_may_forward_what_no_leaf_has_sent_to_the_same_store() -> None:
    assert fed_twice(LEAVES, {"senders": "hub", "keep": ["region:.+", "global:.+"]}) == []


def test_a_region_may_not_forward_what_its_leaves_send_to_the_same_store() -> None:
    ((path, message),) = fed_twice(LEAVES, {"senders": "eu", "keep": ["cluster:.+", "region:.+"]})
    assert path == "destinations.upper.keep"
    assert "of eu-1 would reach this store twice: eu-1 writes it to lower, and eu, which has it from there" in message
    ((_, _, fix),) = problems(two(LEAVES, {"senders": "eu", "keep": ["cluster:.+", "region:.+"]}))
    assert yaml.safe_load(fix) == {"destinations": {"upper": {"keep": ["region:.+"]}}}


def test_what_an_edge_writes_to_hub_and_store_the_hub_may_not_forward() -> None:
    ((path, message),) = fed_twice({"senders": "edge"}, {"senders": "hub"})
    assert path == "destinations.upper.keep"
    assert "of shop-1 would reach this store twice" in message
    assert fed_twice({"senders": "edge"}, {"senders": "hub", "keep": ["global:.+"]}) == []


def test_senders_of_one_destination_may_not_double_each_others_series() -> None:
    def found(keep: list[str]) -> list[str]:
        return [path for path, _, _ in problems(page(senders=["eu-1", "eu"], keep=keep))]

    assert found(["cluster:.+"]) == ["destinations.archive.senders"]
    assert found(["cluster:.+|region:.+"]) == ["destinations.archive.senders"]


def test_of_one_list_senders_are_left_out_by_name() -> None:
    ((_, message, fix),) = problems(page(senders=["eu", "eu-1"]))
    assert "so leave it to eu-1 alone, or give eu a destination of its own that keeps what nobody else" in message
    assert yaml.safe_load(fix) == {"destinations": {"archive": {"senders": ["eu-1"]}}}


def test_of_one_list_nobody_loses_what_it_alone_has() -> None:
    ((_, _, fix),) = problems(page(senders=["eu-1", "eu"], keep=["cluster:.+", "up"]))
    assert yaml.safe_load(fix) == {"destinations": {"archive": {"senders": ["eu-1"]}}}


def up_both(given: Page) -> Page:
    return {**given, "clusters": {**CLUSTERS, "eu-1": {**CLUSTERS["eu-1"], "up": "both"}}}


DOUBLES: dict[str, Page] = {
    "a leaf and its region": page(senders=["eu", "eu-1"]),
    "of a tier, the region of the only leaf": page(senders=["eu-1", "regional"]),
    "all tiers": page(senders=["leaf", "regional", "global", "edge"]),
    "a leaf that goes up in two ways": up_both(page(senders=["leaf", "hub"])),
    "a region whose leaves have a list": two(LEAVES, {"senders": "regional"}),
    "a region that keeps its leaves' alone": two(LEAVES, {"senders": "regional", "keep": "cluster:.+"}),
    "a hub that keeps its edges' raw series alone": two({"senders": "edge"}, {"senders": "hub", "keep": "up|[^:]+"}),
    "a region beside an edge": two(LEAVES, {"senders": ["eu", "shop-1"]}),
    "one sender of two lists": two(LEAVES, {"senders": ["eu-1", "hub"]}),
    "one sender, once everything": two(LEAVES, {"senders": "eu-1"}),
    "one record of a level": two({"senders": "hub", "keep": "global:.*cpu.*"}, {"senders": "hub", "keep": "global:.+"}),
    "two lists, each with doubles": two({"senders": ["leaf", "regional"]}, {"senders": ["hub", "edge"]}),
    "Thanos": {
        "clusters": CLUSTERS,
        "thanos": {"objectStorage": {"config": "o"}, "senders": ["leaf", "regional", "global"], "keep": "cluster:.+"},
    },
}


@pytest.mark.parametrize("given", DOUBLES.values(), ids=DOUBLES)
def test_what_is_offered_where_a_store_would_be_reached_twice_is_accepted(given: Page) -> None:
    found = problems(given)
    assert found
    for _, _, fix in found:
        given = merged(given, yaml.safe_load(fix))
    assert problems(given) == []


def test_a_second_list_of_the_same_is_left_out() -> None:
    ((path, message),) = fed_twice({"senders": "eu-1"}, {"senders": "eu-1"})
    assert path == "destinations.upper"
    assert message.endswith("there twice; nothing would be left here without that, so leave it out")


def test_a_series_that_goes_up_on_purpose_counts_as_well() -> None:
    extra = {"match": '{__name__="kube_pod_info"}', "reason": "r", "series": 9}
    given = two({"senders": "leaf", "keep": ["kube_pod_info"]}, {"senders": "eu", "keep": ["kube_pod_info"]})
    assert [path for path, _, _ in problems(given)] == ["destinations.upper.keep.0"], "the region has none of it"
    assert "twice" in problems({**given, "federate": [extra]})[0][1]


def test_another_tenant_or_another_store_is_no_double() -> None:
    everything = {"senders": "eu", "keep": ["cluster:.+"]}
    assert fed_twice(LEAVES, {**everything, "tenant": "other"}) == []
    assert fed_twice(LEAVES, {**everything, "url": "https://other.example.com/api/v1/push"}) == []
    assert fed_twice(LEAVES, {**everything, "url": "https://mimir.example.com:443/api/v1/push"}) != []


def test_a_store_in_the_senders_own_cluster_is_another_one_for_each() -> None:
    within = {"url": WITHIN, "auth": "none"}
    everything = {**within, "senders": "eu", "keep": ["cluster:.+"]}
    assert fed_twice({**LEAVES, **within}, everything) == []
    assert fed_twice({**LEAVES, **within}, {**everything, "senders": "eu-1"}) != [], "one sender's is one"


def test_one_sender_does_not_write_a_name_to_one_store_by_two_queues() -> None:
    ((path, message),) = fed_twice(LEAVES, {"senders": "eu-1"})
    assert path == "destinations.upper.keep"
    assert message.startswith("is the same store as lower: eu-1 would write cluster:")


def rates(compiled: Plan) -> dict[str, float | None]:
    return {edge.sender: edge.rate for each in compiled.clusters.values() for edge in each.destinations}


def test_the_expected_rate_of_recorded_series_is_that_of_the_budgets_estimate() -> None:
    """Two ways to count the same: what a parent is expected to scrape, and what the child would write instead."""
    compiled = plan(page(senders="leaf", keep=["cluster:.+"]))
    estimates = {edge.child: edge.estimate / 30 for edge in compiled.federation}
    found = rates(compiled)
    assert found == {name: pytest.approx(estimates[name]) for name in ("eu-1", "us-1")}
    compiled = plan(page(senders="regional", keep=["region:.+"]))
    estimates = {edge.child: edge.estimate / 30 for edge in compiled.federation}
    assert rates(compiled) == {name: pytest.approx(estimates[name]) for name in ("eu", "us")}


def test_what_was_federated_comes_as_often_as_it_is_asked_for() -> None:
    direct = rates(plan(page(senders="eu", keep=["region:.+"])))["eu"]
    forwarded = rates(plan(page(senders="hub", keep=["region:.+"])))["hub"]
    assert direct is not None
    assert forwarded == pytest.approx(2 * direct / 4), "two regions like it, every 120 s instead of 30 s"


def test_of_raw_series_the_page_says_how_many_there_are() -> None:
    assert rates(plan(page(senders="shop-1"))) == {"shop-1": None}
    assert rates(plan(page(senders="hub", keep=[".+"]))) == {"hub": None}
    assert rates(plan(page(senders="shop-1", series=60000))) == {"shop-1": 2000}


@pytest.mark.parametrize("rate", [1, 100, 5_000, 100_000, 3_000_000])
@pytest.mark.parametrize("per_send", [None, 1000])
def test_a_queue_carries_its_live_rate_and_five_times_as_much_of_what_was_held_up(
    rate: int, per_send: int | None
) -> None:
    made = queue(rate, QueueSettings(), per_send)
    assert made.carries >= CATCH_UP * rate
    assert made.capacity >= made.max_samples_per_send
    # Who cannot answer is asked ten times a second at most, or as Prometheus does by itself.
    assert made.max_backoff >= max(made.min_backoff, timedelta(seconds=made.max_shards / 10))


@pytest.mark.parametrize("rate", [None, 1, 10_000])
@pytest.mark.parametrize("settings", [{}, {"maxShards": 7}, {"minShards": 90}, {"capacity": 90}])
def test_a_queue_keeps_its_number_of_shards_or_gives_up_what_old_ones_hold(
    rate: int | None, settings: dict[str, int]
) -> None:
    made = queue(rate, QueueSettings.model_validate(settings))
    assert made.min_shards == made.max_shards


def test_what_the_page_says_of_a_queue_goes_before_and_the_rest_follows() -> None:
    made = queue(10_000, QueueSettings(maxSamplesPerSend=500))
    assert (made.max_samples_per_send, made.capacity) == (500, 2500)
    assert made.max_shards == 60
    assert queue(10_000, QueueSettings(minShards=2, maxShards=7)).min_shards == 2
    assert queue(None, QueueSettings(capacity=500)).max_samples_per_send == 500
    assert queue(None, QueueSettings()).carries >= CATCH_UP * 100_000 / 30, "where nobody says how many series"


def test_a_receiver_with_small_requests_is_sent_small_ones() -> None:
    (written,) = queues(plan(EXAMPLES["5-amazon"]), "hub")
    assert written["queueConfig"]["maxSamplesPerSend"] == 1000
    assert written["sigv4"]["region"] == "eu-central-1"


def test_the_fleets_own_queues_fit_as_well_and_wait_where_there_is_no_room() -> None:
    clusters = {**CLUSTERS, "eu-1": {**CLUSTERS["eu-1"], "up": "both"}}
    compiled = plan({"clusters": clusters})
    (recorded,), (raw,) = all_queues(compiled, "eu-1"), all_queues(compiled, "shop-1")
    assert recorded["queueConfig"]["maxShards"] >= 1
    assert raw["queueConfig"]["maxShards"] == queue(None, QueueSettings()).max_shards, "nobody says how many series"
    assert recorded["queueConfig"]["retryOnRateLimit"] is raw["queueConfig"]["retryOnRateLimit"] is True


def egress(compiled: Plan, cluster: str) -> str:
    policies = {each["metadata"]["name"]: each for each in network_policies(compiled.clusters[cluster])}
    return json.dumps(policies["prometheus"])


def test_a_sender_is_let_out_to_its_receiver_and_to_whom_it_asks_for_a_token() -> None:
    def added(**changes: object) -> list[str]:
        before = yaml.safe_load(egress(plan({"clusters": CLUSTERS}), "eu"))["spec"]["egress"]
        after = yaml.safe_load(egress(plan(page(senders="eu", **changes)), "eu"))["spec"]["egress"]
        return [json.dumps(each) for each in after if each not in before]

    def to(port: int, *addresses: str) -> str:
        peers = {"to": [{"ipBlock": {"cidr": f"{each}/32"}} for each in addresses]} if addresses else {}
        return json.dumps({**peers, "ports": [{"protocol": "TCP", "port": port}]})

    assert added(url="https://192.0.2.7:8443/push") == [to(8443, "192.0.2.7")]
    assert added(url="https://archive.example.com:8443/push") == [to(8443)]
    assert added(url="http://archive.storage.svc:8080/push", auth="none") == []
    oauth2 = {"secret": "a", "clientId": "me", "tokenUrl": "https://192.0.2.9:8444/token"}
    assert to(8444, "192.0.2.9") in added(auth={"oauth2": oauth2})
    metadata = added(url="https://192.0.2.7:8443/push", auth={"sigv4": {"region": "eu-west-1"}})
    assert to(80, "169.254.169.254", "169.254.170.23") in metadata
    assert to(443) in metadata
    assert added(url="https://192.0.2.7:8443/push", auth={"azureAd": {"managedIdentity": {}}}) == [
        to(80, "169.254.169.254"),
        to(8443, "192.0.2.7"),
    ]


def behind(compiled: Plan, cluster: str) -> list[str]:
    groups = alert_groups(compiled, compiled.clusters[cluster])
    return [str(rule["expr"]) for group in groups for rule in group.rules if rule["alert"] == "RemoteWriteBehind"]


def test_alerts_about_queues_are_where_somebody_writes_to_a_destination_alone() -> None:
    assert behind(plan({"clusters": CLUSTERS}), "eu-1") == []
    (expr,) = behind(plan(page(senders="eu-1")), "eu-1")
    assert "remote_name" in expr
    assert expr.endswith("> 130")


def test_check_explain_and_the_drawing_show_destinations() -> None:
    compiled = plan(page(keep=["region:.+"], **{key: MIMIR[key] for key in ("kind", "url", "tenant")}))
    assert [*outside(compiled)] == [
        "→ archive: mimir at https://mimir.example.com/api/v1/push, tenant fleet, shown bearer"
    ]
    cells = [list(column.cells) for column in topology_table(compiled).columns]
    assert [column[-1] for column in cells][:5] == ["hub", "archive", "remote write", "region:.+", "at once"]
    assert cells[5][-1].endswith("/s")
    assert 'd0[("archive<br/>mimir")]' in mermaid(compiled)
    assert "hub → archive by remote write" in explain(compiled, compiled.rules, "region:namespace_cpu:sum")
    assert "archive" not in explain(compiled, compiled.rules, "cluster:heartbeat:timestamp").split("region:heart")[0]


def test_a_word_that_is_nearly_a_tier_is_told_apart_from_clusters() -> None:
    assert did_you_mean("hup", CLUSTERS) == "; did you mean hub?"
    named_like_a_tier = {**CLUSTERS, "leaf": {"tier": "leaf", "region": "eu", "context": "leaf"}}
    given = {"clusters": named_like_a_tier, "destinations": {"archive": {**ARCHIVE, "senders": "leaf"}}}
    ((path, message, _),) = problems(given)
    assert path == "destinations.archive.senders.0"
    assert message == "leaf is the name of a cluster and of a tier, and nobody could tell which is meant"


def test_agents_write_to_destinations_beside_the_fleets_own_receiver() -> None:
    compiled = plan(EXAMPLES["7-victoriametrics"])
    assert [each.tier for each in compiled.clusters.values() if each.destinations] == [Tier.EDGE]
    (written,) = queues(compiled, "shop-1")
    token = {"name": DESTINATION_CREDENTIALS, "key": "victoriametrics.token"}
    assert written["authorization"] == {"credentials": token}
