"""The ways up that stack dev does not have: remote write of leaves, two parents, a route, another destination."""

import json
from pathlib import Path

import pulumi
import pytest
from test_program import Recorder, certificate, hash_of, htpasswd, run_program

MIMIR = "a password of one's own"
GATEWAY = {"type": "HTTPRoute", "parentRef": {"name": "public", "namespace": "gateways"}}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    kubeconfig = tmp_path_factory.mktemp("ways-up") / "kubeconfig"
    kubeconfig.write_text("kubeconfig of all")
    leaf = {"tier": "leaf", "region": "eu"}
    clusters = {
        "hub": {"tier": "global", "discover": {"team-a": {"namespace": "a"}, "team-b": {"namespace": "b"}}},
        "eu": {"tier": "regional", "region": "eu"},
        "both": {**leaf, "up": "both"},
        "writer": {**leaf, "up": "remote_write"},
        "two": {**leaf, "parent": ["eu", "hub"], "severalParents": True},
    }
    hosts = {name: {"host": f"{name}.example.com"} for name in clusters if name != "writer"}
    located = {
        name: {"context": name, **each, **({"gateway": hosts[name]} if name in hosts else {})}
        for name, each in clusters.items()
    }
    warehouse = {
        "kind": "mimir",
        "url": "https://mimir.example.com/api/v1/push",
        "tenant": "fleet",
        "senders": ["eu", "writer"],
        "auth": {"basic": {"username": "fleet", "config": "mimir-password"}},
        "keep": ["cluster:heartbeat:timestamp", "region:.+"],
    }
    archive = {
        "kind": "generic",
        "url": "https://archive.example.com",
        "senders": ["hub"],
        "auth": {"bearer": {"secret": "archive"}},
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", str(kubeconfig))
        patched.delenv("FLEET_CHART", raising=False)
        return run_program(
            {
                "gateway": GATEWAY,
                "readers": {"grafana": {"clusters": "hub"}},
                "destinations": {"archive": archive, "warehouse": warehouse},
                "clusters": located,
            },
            {"mimir-password": MIMIR},
        )


def spec(program: Recorder, cluster: str) -> dict[str, object]:
    return program.releases()[f"{cluster}-release"].inputs["values"]["prometheus"]["prometheusSpec"]


def test_every_edge_has_a_password_of_its_own(program: Recorder) -> None:
    assert sorted({name.partition(".")[0] for name in program.passwords()}) == [
        "both-alerts-hub",
        "both-writes-hub",
        "eu-alerts-hub",
        "eu-federates-both",
        "eu-federates-two",
        "grafana-reads-hub",
        "hub-discovers",
        "hub-federates-eu",
        "hub-federates-two",
        "two-alerts-hub",
        "writer-alerts-hub",
        "writer-writes-hub",
    ]


def test_a_leaf_that_writes_is_called_by_nobody(program: Recorder) -> None:
    assert not any(name.startswith("writer-gateway") for name in program.resources)
    assert set(program.secret_data("writer-remote-write-credentials")) == {"hub.username", "hub.password"}
    queue, _ = spec(program, "writer")["remoteWrite"]
    assert queue["url"] == "https://hub.example.com:443/api/v1/write"


def test_a_leaf_that_goes_both_ways_is_called_and_writes(program: Recorder) -> None:
    assert program.secret_data("both-gateway-accounts")["auth"].startswith("eu:")
    assert spec(program, "both")["remoteWrite"]


def test_each_of_two_parents_has_its_own_account_and_job(program: Recorder) -> None:
    accounts = program.secret_data("two-gateway-accounts")["auth"].splitlines()
    assert list(dict.fromkeys(account.split(":")[0] for account in accounts)) == ["eu", "hub"]
    jobs = {
        parent: [job["job_name"] for job in spec(program, parent)["additionalScrapeConfigs"]]
        for parent in ("eu", "hub")
    }
    discovered = ["federate-auto-discover/team-a", "federate-auto-discover/team-b"]
    own = ["gateway", "gateway-facts", "keys"]
    assert jobs == {
        "eu": ["federate-both", "federate-two", *own],
        "hub": ["federate-two", "federate-eu", *discovered, *own],
    }


def test_routes_are_created_where_the_gateways_are_reached_by_them(program: Recorder) -> None:
    routes = [name for name, args in program.resources.items() if args.typ.endswith(":HTTPRoute")]
    assert sorted(routes) == [
        "both-gateway-httproute",
        "eu-gateway-httproute",
        "hub-gateway-httproute",
        "two-gateway-httproute",
    ]


def test_a_clusters_own_gateway_begins_tls_anew_towards_the_fleets(program: Recorder) -> None:
    policy = program.named("eu-gateway-backendtlspolicy").inputs["spec"]
    assert policy["validation"]["hostname"] == "eu.prometheus-fleet.internal"
    trusted = program.named("eu-gateway-configmap").inputs
    assert policy["validation"]["caCertificateRefs"] == [
        {"group": "", "kind": "ConfigMap", "name": trusted["metadata"]["name"]}
    ]
    assert trusted["data"] == {"ca.crt": certificate("authority-1")}


def test_a_reader_has_a_password_in_the_cluster_that_it_queries_and_an_account_at_its_gateway(
    program: Recorder,
) -> None:
    readers = [name for name in program.resources if name.endswith("-gateway-readers")]
    assert readers == ["hub-gateway-readers"]
    assert program.secret_data("hub-gateway-readers") == {"grafana": "password of grafana-reads-hub.1"}
    assert htpasswd("grafana", "grafana-reads-hub") in program.secret_data("hub-gateway-accounts")["auth"]


def test_the_receiver_accepts_writes_and_evaluates_no_rule_of_leaves(program: Recorder) -> None:
    assert spec(program, "hub")["enableRemoteWriteReceiver"] is True
    assert not any(name.startswith("hub-cluster-aggregations") for name in program.resources)


def test_a_destination_is_named_with_its_secret_and_no_more(program: Recorder) -> None:
    (queue,) = spec(program, "hub")["remoteWrite"]
    assert json.dumps(queue, sort_keys=True) == json.dumps(
        {
            "authorization": {"credentials": {"key": "token", "name": "archive"}},
            "name": "archive",
            "queueConfig": {
                "capacity": 10000.0,
                "maxBackoff": "5s",
                "maxSamplesPerSend": 2000.0,
                "maxShards": 5.0,
                "minBackoff": "100ms",
                "minShards": 5.0,
                "retryOnRateLimit": True,
            },
            "tlsConfig": {"minVersion": "TLS12"},
            "url": "https://archive.example.com",
        },
        sort_keys=True,
    )


def test_what_the_config_has_of_a_credential_lies_in_a_secret_of_each_sender_and_nowhere_else(
    program: Recorder,
) -> None:
    for sender in ("eu", "writer"):
        found = program.secret_data(f"{sender}-destination-credentials")
        assert found == {"warehouse.username": "fleet", "warehouse.password": MIMIR}
        queue = next(each for each in spec(program, sender)["remoteWrite"] if each["name"] == "warehouse")
        names = {"username": "warehouse.username", "password": "warehouse.password"}
        selected = {part: {"name": "destination-credentials", "key": key} for part, key in names.items()}
        assert queue["basicAuth"] == selected
        assert queue["headers"] == {"X-Scope-OrgID": "fleet"}
    holders = [name for name, args in program.resources.items() if MIMIR in json.dumps(args.inputs)]
    assert sorted(holders) == ["eu-destination-credentials", "writer-destination-credentials"]
    assert "hub-destination-credentials" not in program.resources, "all that it shows lies in somebody's Secret"


def test_one_credential_is_shown_to_all_that_a_parent_discovers_and_known_by_its_hash(program: Recorder) -> None:
    assert program.secret_data("hub-federation-credentials")["auto-discover.password"] == "password of hub-discovers.1"
    account = program.secret_data("hub-discovery-account")
    assert account["auth"] == htpasswd("hub", "hub-discovers")
    for generation in (1, 2):
        assert hash_of("hub-discovers", generation) in account["caddy.json"]
    assert "password of" not in json.dumps(account)


@pytest.mark.parametrize(
    ("text", "why"),
    [(" ", "is empty"), (f"{MIMIR}\n", "begins or ends with a blank or a newline, which would be part")],
)
def test_a_credential_that_would_not_do_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    (tmp_path / "kubeconfig").write_text("kubeconfig of all")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("FLEET_CHART", raising=False)
    archive = {
        "kind": "generic",
        "url": "https://archive.example.com",
        "senders": "hub",
        "auth": {"bearer": {"config": "token"}},
    }
    gateway = {"type": "Host", "host": "eu-1.example.com"}
    clusters = {
        "hub": {"tier": "global", "context": "hub"},
        "eu-1": {"tier": "leaf", "context": "eu-1", "gateway": gateway},
    }
    with pytest.raises(pulumi.RunError) as refused:
        run_program({"destinations": {"archive": archive}, "clusters": clusters}, {"token": text})
    assert f"destinations.archive.auth: config key prometheus-fleet:token {why}" in str(refused.value)
    assert MIMIR not in str(refused.value)
    assert "pulumi config set --secret prometheus-fleet:token" in str(refused.value)
