"""How a page is read: what is wrong with its shape is said in the words of whoever wrote it."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleet.errors import FleetError
from fleet.page import read_page, read_stack

CLUSTERS = {"hub": {"tier": "global"}, "eu-1": {"tier": "leaf"}}


@pytest.mark.parametrize(
    "until",
    [
        "2026-12-01T06:00:00Z",
        "2026-12-01T07:00:00+01:00",
        datetime(2026, 12, 1, 1, tzinfo=timezone(-timedelta(hours=5))),
        # What Pulumi makes of times without quotes.
        "2026-12-01 06:00:00 +0000 UTC",
        "2026-12-01 08:00:00 +0200 +0200",
        "2026-12-01 07:00:00.25 +0100 CET",
    ],
    ids=str,
)
def test_a_moment_is_the_same_however_it_is_written_and_whoever_read_it(until: object) -> None:
    maintenance = {"until": until, "reason": "nodes are replaced"}
    page = read_page({"clusters": {"eu-1": {"tier": "leaf", "maintenance": maintenance}}}, {})
    read = page.clusters["eu-1"].maintenance
    assert read is not None
    assert read.until.replace(microsecond=0) == datetime(2026, 12, 1, 6, tzinfo=UTC)


def refusal(data: object) -> FleetError:
    with pytest.raises(FleetError) as refused:
        read_page(data, {})
    return refused.value


def stack(tmp_path: Path, content: bytes | str) -> str:
    """What is said about a stack's file with this content."""
    text = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "Pulumi.test.yaml").write_bytes(text)
    with pytest.raises(FleetError) as refused:
        read_stack("test", tmp_path, {})
    return str(refused.value)


MISTAKES: dict[str, tuple[str, str]] = {
    "a key with a typo": (
        "clusters: {hub: {teir: global}}",
        """\
clusters.hub.tier: is missing

    clusters:
      hub:
        tier: leaf

clusters.hub.teir: unknown key; did you mean tier?

    clusters:
      hub:
        tier: global
""",
    ),
    "a key that is none": (
        "colour: red\nclusters: {hub: {tier: global}}",
        (
            "colour: unknown key; known here: parentStack, childStacks, chart, namespace, intervals, gateway, "
            "tls, authority, keys, readers, networkPolicies, regions, tiers, expect, keep, rules, federate, "
            "destinations, thanos, alerting, dashboards, grafana, values, waves, protect, clusters"
        ),
    ),
    "a key in the wrong place": (
        "clusters: {hub: {tier: global, intervals: {scrape: 10s}}}",
        (
            "clusters.hub.intervals: unknown key; known here: storage, resources, series, queue, retention, replicas, "
            "budget, tier, region, datacenter, environment, labels, kubeconfig, kubeconfigSecret, context, namespace, "
            "wave, up, parent, severalParents, discover, gateway, expect, maintenance, alertmanager, networkPolicies, "
            "tls, podSecurity, values\n\n"
            "    clusters:\n      hub: {tier: global}\n"
        ),
    ),
    "snake case": (
        "clusters: {hub: {tier: global, kubeconfig_secret: hub}}",
        """\
clusters.hub.kubeconfig_secret: unknown key; did you mean kubeconfigSecret?

    clusters:
      hub:
        kubeconfigSecret: hub
""",
    ),
    "a tier with a typo": (
        "clusters: {hub: {tier: globl}}",
        """\
clusters.hub.tier: 'globl' is not one of leaf, regional, global, edge; did you mean global?

    clusters:
      hub:
        tier: global
""",
    ),
    "no tier": (
        "clusters: {hub: {context: hub}}",
        "clusters.hub.tier: is missing\n\n    clusters:\n      hub:\n        tier: leaf\n",
    ),
    "a switch that is neither on nor off": (
        "dashboards: some\nclusters: {hub: {tier: global}}",
        """\
dashboards: this is text, where true or false belongs

    dashboards: false
""",
    ),
    "clusters as a list": (
        "clusters: [{name: hub, tier: global}]",
        """\
clusters: this is a list, where keys with values belong

    clusters: {hub: {tier: global, context: hub}, eu-1: {tier: leaf, context: eu-1}}
""",
    ),
    "a cluster without anything": (
        "clusters:\n  hub:\n",
        """\
clusters.hub: this is nothing, where keys with values belong

    clusters:
      hub: {tier: leaf}
""",
    ),
    "a cluster that is only a word": (
        "clusters: {hub: global}",
        """\
clusters.hub: this is text, where keys with values belong

    clusters:
      hub: {tier: global}
""",
    ),
    "a country that YAML takes for a no": (
        "clusters: {hub: {tier: global}, a: {tier: leaf, region: no}}",
        """\
clusters.a.region: YAML reads this as a boolean; in quotes it is text

    clusters:
      a:
        region: 'no'
""",
    ),
    "a name that is a number": (
        "clusters: {1: {tier: global}}",
        """\
clusters.1: as a name, YAML reads this as a number; in quotes it is text

    clusters: {'1': {tier: global}}
""",
    ),
    "a name in capitals": (
        "clusters: {EU_1: {tier: global}}",
        """\
clusters.EU_1: 'EU_1' is not a name: lower-case letters, digits and - inside, at most 53

    clusters: {eu-1: {tier: global}}
""",
    ),
    "a version that is a number": (
        "chart: {version: 88.5}\nclusters: {hub: {tier: global}}",
        """\
chart.version: YAML reads this as a number; in quotes it is text

    chart:
      version: '88.5'
""",
    ),
    "a number without its unit": (
        "intervals: {scrape: 30}\nclusters: {hub: {tier: global}}",
        """\
intervals.scrape: 30 is not a duration such as 30s, 1m30s or 1h

    intervals:
      scrape: 30s
""",
    ),
    "a unit that is none": (
        "intervals: {federation: {global: 2 min}}\nclusters: {hub: {tier: global}}",
        """\
intervals.federation.global: '2 min' is not a duration such as 30s, 1m30s or 1h

    intervals:
      federation:
        global: 2m
""",
    ),
    "a number that is text": (
        "clusters: {hub: {tier: global, replicas: two}}",
        """\
clusters.hub.replicas: input should be a valid integer, unable to parse string as an integer

    clusters:
      hub:
        replicas: 2
""",
    ),
    "none of something": (
        "clusters: {hub: {tier: global, replicas: 0}}",
        """\
clusters.hub.replicas: input should be greater than or equal to 1

    clusters:
      hub:
        replicas: 2
""",
    ),
    "a match without its reason": (
        "federate: [{match: kube_pod_info, series: 10}]\nclusters: {hub: {tier: global}}",
        """\
federate.0.reason: is missing

    federate:
      - reason: which pods of payments run where
""",
    ),
    "no cluster": (
        "clusters: {}",
        """\
clusters: there is nothing in it

    clusters: {hub: {tier: global, context: hub}, eu-1: {tier: leaf, context: eu-1}}
""",
    ),
    "a password in the values": (
        "values: {grafana: {adminPassword: hunter2}}\nclusters: {hub: {tier: global}}",
        """\
values.grafana.adminPassword: a secret in clear; keep it in a Kubernetes Secret and name that here

    kubectl --namespace monitoring create secret generic NAME --from-file=KEY=FILE
    # and on the page, where a Secret is asked for:
    secret: NAME
""",
    ),
    "a tab": (
        "clusters:\n\thub: {tier: global}",
        "Pulumi.test.yaml: is not valid YAML in line 4, column 5: found character that cannot start any token",
    ),
    "a name twice": (
        "clusters: {hub: {tier: global}, hub: {tier: leaf}}",
        "clusters.hub: is here twice, again in line 3; each name stands once",
    ),
    "a colon too many": (
        "clusters: {hub: {tier: global, context: a: b}}",
        "Pulumi.test.yaml: is not valid YAML in line 3, column 46: did not find expected ',' or '}'",
    ),
}


@pytest.mark.parametrize(("page", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_likely_mistake_is_answered_word_for_word(page: str, message: str, tmp_path: Path) -> None:
    indented = page.replace("\n", "\n    ")
    assert stack(tmp_path, f"config:\n  prometheus-fleet:fleet:\n    {indented}\n") == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Pulumi.test.yaml: is empty"),
        ("# nothing yet\n", "Pulumi.test.yaml: is empty"),
        ("config:\n", "Pulumi.test.yaml: has no fleet under config.prometheus-fleet:fleet"),
        (
            "config: {prometheus-fleet:fleets: {}}",
            "Pulumi.test.yaml: has no fleet under config.prometheus-fleet:fleet; is it prometheus-fleet:fleets?",
        ),
        ("config: {prometheus-fleet:fleet: }", "prometheus-fleet:fleet: there is no fleet on this page"),
        ("config: {prometheus-fleet:fleet: text}", "prometheus-fleet:fleet: there is no fleet on this page"),
        ("just text", "Pulumi.test.yaml: has no fleet under config.prometheus-fleet:fleet"),
        ("- a\n- list", "Pulumi.test.yaml: has no fleet under config.prometheus-fleet:fleet"),
        (b"\xff\xfe\x00", "Pulumi.test.yaml: is not UTF-8 text"),
        ("a: \x07", "Pulumi.test.yaml: is not valid YAML"),
        ("a: &a [*a]", "a.0: this alias contains itself"),
        ("a: !vault x", "Pulumi.test.yaml: is not valid YAML in line 1, column 4"),
        ("a: 2024-13-45", "Pulumi.test.yaml: is not valid YAML: month must be in 1..12"),
        ("a: 1\n---\nb: 2", "Pulumi.test.yaml: is not valid YAML in line 2, column 1"),
        ("{" * 100_000, "Pulumi.test.yaml: is nested deeper than 100 levels"),
        ("a: [" + "[" * 5_000 + "]" * 5_000 + "]", "Pulumi.test.yaml: is nested deeper than 100 levels"),
    ],
)
def test_a_file_that_is_no_page_is_named(content: bytes | str, message: str, tmp_path: Path) -> None:
    assert stack(tmp_path, content).splitlines()[0].startswith(message)


def test_a_stack_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").touch()
    with pytest.raises(FleetError) as refused:
        read_stack("prdo", tmp_path, {})
    assert str(refused.value) == "Pulumi.prdo.yaml: does not exist; stacks here: dev"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.test.yaml").mkdir()
    with pytest.raises(FleetError) as refused:
        read_stack("test", tmp_path, {})
    assert str(refused.value) == "Pulumi.test.yaml: cannot be read: Is a directory"


GENERIC = {"kind": "generic", "url": "https://x.example/", "senders": "hub"}

SECRETS = {
    "a password": {"values": {"grafana": {"adminPassword": "hunter2"}}},
    "a token in a list": {"values": {"env": [{"bearer_token": "hunter2"}]}},
    "a URL with a user": {"destinations": {"x": {**GENERIC, "url": "https://me:hunter2@x.example/"}}},
    "a URL with a token": {"destinations": {"x": {**GENERIC, "url": "https://x.example/push?a=b&api_key=hunter2"}}},
    "a URL with a token to read": {
        "destinations": {"x": {**GENERIC, "read": {"url": "https://x.example/?access%5Ftoken=hunter2"}}}
    },
    "a URL with a token to ask for another": {
        "destinations": {"x": {**GENERIC, "auth": {"oauth2": {"tokenUrl": "https://x.example/t?x-api-key=hunter2"}}}}
    },
    "a URL of runbooks with a token": {"alerting": {"runbooks": "https://x.example/#private_token=hunter2;a=b"}},
    "a URL with a token among other values": {"values": {"flags": "--to=http://proxy:80/?token=hunter2 --quiet"}},
    "a URL in the values": {"values": {"proxy": "http://me:hunter2@proxy:80"}},
    "a key": {"values": {"tls": "-----BEGIN PRIVATE KEY-----\nhunter2"}},
    "a password where there is no such key": {"clusters": {"hub": {"tier": "global", "password": "hunter2"}}},
    "a password where its place belongs": {"keys": {"edges": {"hub-federates-eu": {"password": "hunter2"}}}},
    "a password where the name of its Secret belongs": {
        "destinations": {
            "x": {**GENERIC, "auth": {"basic": {"secret": "Hunter2!hunter2"}}},
        }
    },
    "a token where the name of its key belongs": {
        "destinations": {
            "x": {**GENERIC, "auth": {"bearer": {"secret": "a", "key": "hunter2=="}}},
        }
    },
}


@pytest.mark.parametrize("page", SECRETS.values(), ids=SECRETS)
def test_a_secret_in_clear_is_refused_and_not_repeated(page: dict[str, object]) -> None:
    message = str(refusal({"clusters": CLUSTERS, **page}))
    assert "Secret" in message
    assert "unter2" not in message


def test_the_name_of_a_secret_is_none() -> None:
    values = {"a": {"passwordSecret": "x", "password": {"name": "x", "key": "y"}, "token": "", "automountToken": True}}
    assert read_page({"clusters": CLUSTERS, "values": values}, {}).values == values


def test_a_parameter_of_a_url_that_names_no_secret_is_none() -> None:
    values = {"a": ["https://x.example/?tokens=1&token=&page=token", "https://x.example/token", "a?token=b"]}
    assert read_page({"clusters": CLUSTERS, "values": values}, {}).values == values


def test_every_mistake_is_named_at_once() -> None:
    error = refusal({"clusters": {"a": {"tier": "x"}, "b": {"tier": "y"}}})
    assert [problem.path for problem in error.problems] == ["clusters.a.tier", "clusters.b.tier"]


def test_the_chart_is_pinned_by_default() -> None:
    chart = read_page({"clusters": CLUSTERS}, {}).chart
    assert chart.source.startswith("oci://")
    assert chart.version


def test_the_environment_takes_the_place_of_the_chart() -> None:
    environ = {"FLEET_CHART": "oci://mirror.example/kube-prometheus-stack", "FLEET_CHART_VERSION": "1.2.3"}
    page = {"clusters": CLUSTERS, "chart": {"source": "./chart", "registry": "mirror.example"}}
    chart = read_page(page, environ).chart
    assert (chart.source, chart.version) == tuple(environ.values())
    assert chart.registry == "mirror.example"


def test_a_chart_of_the_environment_is_pinned_as_well() -> None:
    with pytest.raises(FleetError, match="FLEET_CHART_VERSION: a chart from a registry needs an exact version"):
        read_page({"clusters": CLUSTERS}, {"FLEET_CHART": "oci://mirror.example/chart"})


def test_adding_a_cluster_takes_five_lines_at_most() -> None:
    cluster = "eu-3:\n  tier: leaf\n  region: eu\n  kubeconfig: eu-3.yaml\n"
    assert cluster.count("\n") <= 5
    page = {"clusters": {**CLUSTERS, "eu-3": {"tier": "leaf", "region": "eu", "kubeconfig": "eu-3.yaml"}}}
    assert set(read_page(page, {}).clusters) == {"hub", "eu-1", "eu-3"}
