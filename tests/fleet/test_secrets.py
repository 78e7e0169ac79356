"""Secrets that the page names and somebody else keeps: which are expected where, and what is told of a missing one."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import kr8s
import pytest
import yaml
from typer.testing import CliRunner

from fleet import missing_secrets
from fleet.__main__ import app
from fleet.compiler import compile_fleet, compile_page
from fleet.page import Page, read_fleet, read_page
from fleet.plan import ClusterPlan, Plan
from fleet.prometheus import Prometheus, Unreachable
from fleet.secrets import ExpectedSecret, expected_secrets

ROOT = Path(__file__).parents[2]
UUID = "00000000-0000-0000-0000-000000000000"
CLUSTERS: Mapping[str, Mapping[str, object]] = {
    "hub": {"tier": "global", "context": "hub", "gateway": {"type": "Host", "host": "hub.example.com"}},
    "eu": {"tier": "leaf", "context": "eu", "gateway": {"type": "Host", "host": "eu.example.com"}},
    "shop": {"tier": "edge", "context": "shop", "namespace": "metrics"},
}
HOOK = {"secret": "s"}
EXISTING = {"mode": "existing", "secret": "s"}
PASSWORD = {"secret": "s", "namespace": "credentials"}
TLS = ("tls.crt", "tls.key")
BASIC = ("username", "password")


def plan(given: Mapping[str, Any], **clusters: Mapping[str, object]) -> Plan:
    """Of three clusters, with what is `given` for the page and for each of them."""
    own = {name: {**each, **clusters.get(name, {})} for name, each in CLUSTERS.items()}
    return compile_page(read_page({**given, "clusters": own}, {}))


def archive(auth: Mapping[str, object], senders: object = "hub", **read: object) -> dict[str, Any]:
    """A destination, which the Grafana of the hub reads where `read` says how."""
    url = "https://archive.example.com/push"
    reading = {"read": {"url": url, "auth": read}} if read else {}
    written = {"kind": "generic", "url": url, "senders": senders, "auth": auth}
    return {"grafana": bool(read), "destinations": {"archive": {**written, **reading}}}


def bucket(name: str = "s", sidecars: Sequence[str] = (), **storage: object) -> dict[str, Any]:
    uploaders = {"sidecars": [*sidecars]} if sidecars else {}
    return {"thanos": {"objectStorage": {"secret": name, **storage}, "senders": "hub", **uploaders}}


IN_CONFIG = {"bearer": {"config": "c"}}
ENTRA = {"clientId": UUID, "tenantId": UUID}
OAUTH2 = {"clientId": "c", "tokenUrl": "https://login.example.com"}
OF_THE_HUB: Mapping[str, list[tuple[dict[str, Any], str, tuple[str, ...]]]] = {
    "ObjectStorage": [
        (bucket(), "thanos.objectStorage", ("objstore.yml",)),
        (bucket(key="k"), "thanos.objectStorage", ("k",)),
    ],
    "BasicAuth": [
        (archive({"basic": HOOK}), "destinations.archive.auth.basic", BASIC),
        (archive({"basic": {**HOOK, "username": "u"}}), "destinations.archive.auth.basic", ("password",)),
        (
            archive({"basic": {**HOOK, "usernameKey": "u", "passwordKey": "p"}}),
            "destinations.archive.auth.basic",
            ("u", "p"),
        ),
        (archive(IN_CONFIG, basic=HOOK), "destinations.archive.read.auth.basic", BASIC),
    ],
    "Bearer": [
        (archive({"bearer": HOOK}), "destinations.archive.auth.bearer", ("token",)),
        (archive(IN_CONFIG, bearer={**HOOK, "key": "k"}), "destinations.archive.read.auth.bearer", ("k",)),
    ],
    "OAuth2": [(archive({"oauth2": {**HOOK, **OAUTH2}}), "destinations.archive.auth.oauth2", ("client-secret",))],
    "SigV4": [
        (
            archive({"sigv4": {**HOOK, "region": "eu-central-1", "accessKeyIdKey": "id"}}),
            "destinations.archive.auth.sigv4",
            ("id", "secret-access-key"),
        )
    ],
    "Application": [
        (
            archive({"azureAd": {"oauth": {**HOOK, **ENTRA}}}),
            "destinations.archive.auth.azureAd.oauth",
            ("client-secret",),
        )
    ],
    "ClientCertificate": [(archive({**IN_CONFIG, "mtls": HOOK}), "destinations.archive.auth.mtls", TLS)],
    "UrlSecret": [
        ({"alerting": {"webhook": {**HOOK, "key": "k"}}}, "alerting.webhook", ("k",)),
        ({"alerting": {"deadMansSwitch": HOOK}}, "alerting.deadMansSwitch", ("url",)),
        (
            {"alerting": {"routes": [{"matchers": ['a="b"']}, {"matchers": ['c="d"'], "webhook": HOOK}]}},
            "alerting.routes.1.webhook",
            ("url",),
        ),
    ],
}
"""Parts of the page by their models: the page, the part's place on it, and the keys of a Secret that it names."""
ELSEWHERE: Mapping[str, list[tuple[dict[str, Any], list[ExpectedSecret]]]] = {
    "Tls": [
        (
            {"tls": EXISTING},
            [
                ExpectedSecret("hub", "monitoring", "s", TLS, ("tls.secret",)),
                ExpectedSecret("eu", "monitoring", "s", TLS, ("tls.secret",)),
            ],
        ),
    ],
    "Password": [
        (
            {"keys": {"edges": {"hub-federates-eu": {"password": PASSWORD}}}},
            [ExpectedSecret("eu", "credentials", "s", ("password",), ("keys.edges.hub-federates-eu.password.secret",))],
        ),
        (
            {"keys": {"edges": {"shop-writes-hub": {"password": {**PASSWORD, "key": "k"}}}}},
            [ExpectedSecret("shop", "credentials", "s", ("k",), ("keys.edges.shop-writes-hub.password.secret",))],
        ),
        (
            {"readers": {"grafana": {"clusters": ["hub", "eu"], "password": PASSWORD}}},
            [
                ExpectedSecret(name, "credentials", "s", ("password",), ("readers.grafana.password.secret",))
                for name in ("hub", "eu")
            ],
        ),
    ],
}


@pytest.mark.parametrize(("given", "where", "keys"), [case for cases in OF_THE_HUB.values() for case in cases])
def test_a_secret_of_the_hub_is_expected_where_its_pods_read_it(
    given: Mapping[str, Any], where: str, keys: tuple[str, ...]
) -> None:
    assert [*expected_secrets(plan(given))] == [ExpectedSecret("hub", "monitoring", "s", keys, (f"{where}.secret",))]


@pytest.mark.parametrize(("given", "expected"), [case for cases in ELSEWHERE.values() for case in cases])
def test_a_secret_is_expected_in_the_cluster_that_reads_it(
    given: Mapping[str, Any], expected: list[ExpectedSecret]
) -> None:
    assert [*expected_secrets(plan(given))] == expected


def test_every_part_of_the_page_that_names_a_secret_is_expected_somewhere() -> None:
    models = Page.model_json_schema()["$defs"]
    assert {name for name, each in models.items() if "secret" in each.get("properties", {})} == {
        *OF_THE_HUB,
        *ELSEWHERE,
    }


def test_what_one_cluster_says_for_itself_is_named_with_it() -> None:
    hook, certificate = {"alertmanager": {"webhook": HOOK}}, {"tls": {**EXISTING, "secret": "own"}}
    assert [*expected_secrets(plan({}, eu={**hook, **certificate}))] == [
        ExpectedSecret("eu", "monitoring", "own", TLS, ("clusters.eu.tls.secret",)),
        ExpectedSecret("eu", "monitoring", "s", ("url",), ("clusters.eu.alertmanager.webhook.secret",)),
    ]


def test_a_secret_lies_in_the_monitoring_namespace_of_each_sender() -> None:
    found = expected_secrets(plan(archive({"bearer": HOOK}, ["eu", "shop"])))
    assert [(each.cluster, each.namespace, each.name) for each in found] == [
        ("eu", "monitoring", "s"),
        ("shop", "metrics", "s"),
    ]


def test_who_lays_blocks_into_the_bucket_needs_its_secret_too() -> None:
    leaf = {"tier": "leaf", "context": "eu-1"}
    given = {"clusters": {**CLUSTERS, "eu-1": leaf}, **bucket(sidecars=["eu-1"])}
    found = expected_secrets(compile_page(read_page(given, {})))
    assert {each.cluster: each.fields for each in found} == {
        "hub": ("thanos.objectStorage.secret",),
        "eu-1": ("thanos.objectStorage.secret",),
    }


def test_a_secret_that_several_fields_name_is_expected_once_with_all_its_keys() -> None:
    (found,) = expected_secrets(plan(archive({"basic": HOOK}, bearer=HOOK)))
    assert found.keys == (*BASIC, "token")
    assert found.fields == ("destinations.archive.auth.basic.secret", "destinations.archive.read.auth.bearer.secret")


def test_a_page_that_names_none_expects_none(dev: Plan) -> None:
    given = archive({"sigv4": {"region": "eu-central-1"}})
    assert [*expected_secrets(plan({**given, "thanos": {"objectStorage": {"config": "c"}, "senders": "hub"}}))] == []
    assert [*expected_secrets(dev)] == []


@dataclass
class FakeServer:
    """An API server with Secrets, which knows who has set which of their keys unless it was never told."""

    data: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """By namespace and name."""
    namespaces: tuple[str, ...] = ("monitoring",)
    is_noted: bool = True
    refusal: int = 0
    silent: Exception | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    """Paths, and whether the whole object was asked for."""

    @asynccontextmanager
    async def call_api(
        self, method: str, *, url: str, headers: Mapping[str, str], **_: object
    ) -> AsyncIterator[httpx.Response]:
        assert method == "GET"
        is_whole = "PartialObjectMetadata" not in headers["Accept"]
        self.asked.append((url, is_whole))
        if self.silent is not None:
            raise self.silent
        if self.refusal:
            raise kr8s.ServerError("secrets is forbidden: User u cannot get", response=httpx.Response(self.refusal))
        found = self._found(url, is_whole=is_whole)
        if found is None:
            raise kr8s.ServerError("not found", response=httpx.Response(404))
        yield httpx.Response(200, json=found)

    def _found(self, url: str, *, is_whole: bool) -> dict[str, object] | None:
        _, namespace, *name = url.split("/")
        if not name:
            return {"metadata": {"name": namespace}} if namespace in self.namespaces else None
        data = self.data.get(f"{namespace}/{name[1]}")
        if data is None:
            return None
        fields = {"f:data": {".": {}, **{f"f:{key}": {} for key in data}}, "f:type": {}}
        noted = [{"manager": "kubectl-create", "operation": "Update", "fieldsV1": fields}] if self.is_noted else []
        return {"metadata": {"name": name[1], "managedFields": noted}, **({"data": data} if is_whole else {})}


VALUE = "b25seSBmb3IgZXllcyBvZiBwb2Rz"
THERE = {"monitoring/thanos-objects": {"objstore.yml": VALUE}}
THANOS = bucket("thanos-objects")
PLACE = "Secret monitoring/thanos-objects of cluster hub"
FIX = "kubectl --context hub --namespace monitoring create secret generic thanos-objects --from-file=objstore.yml=FILE"


def ask(
    monkeypatch: pytest.MonkeyPatch, given: Plan, **servers: FakeServer | Unreachable
) -> list[tuple[str, str, str]]:
    """Path, message and fix of each problem."""

    async def connected(cluster: ClusterPlan, _: object) -> Prometheus | Unreachable:
        server = servers[cluster.name]
        return server if isinstance(server, Unreachable) else Prometheus(cluster.name, cluster.namespace, server)

    def unasked(_: ClusterPlan) -> str:
        raise AssertionError

    monkeypatch.setattr(missing_secrets, "connected", connected)
    problems = asyncio.run(missing_secrets.missing_secrets(given, "prod", unasked))
    assert VALUE not in str(problems)
    return [(each.path, each.message, each.fix) for each in problems]


def test_a_secret_that_is_there_is_no_problem_and_its_contents_stay_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = FakeServer(THERE)
    assert ask(monkeypatch, plan(THANOS), hub=server) == []
    assert server.asked == [("namespaces/monitoring/secrets/thanos-objects", False)]


def test_a_secret_of_whose_keys_nobody_is_noted_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer(THERE, is_noted=False)
    assert ask(monkeypatch, plan(THANOS), hub=server) == []
    assert [is_whole for _, is_whole in server.asked] == [False, True]


def test_a_secret_that_is_missing_is_told_with_its_field_and_the_command_that_makes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ask(monkeypatch, plan(THANOS), hub=FakeServer()) == [
        ("thanos.objectStorage.secret", f"{PLACE} is not there", FIX)
    ]


@pytest.mark.parametrize(
    ("cluster", "fix"),
    [
        ({"kubeconfig": "kube configs/hub"}, "kubectl --kubeconfig 'kube configs/hub' --context hub --namespace x "),
        ({"kubeconfigSecret": "hub", "context": None}, "kubectl --namespace x "),
    ],
)
def test_the_command_reaches_the_cluster_as_the_page_does(
    cluster: dict[str, object], fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = plan({"tls": EXISTING}, hub={**cluster, "namespace": "x"}, eu={"tls": {"mode": "generated"}})
    ((_, _, told),) = ask(monkeypatch, given, hub=FakeServer(namespaces=("x",)))
    assert told == f"{fix}create secret tls s --cert=FILE --key=FILE"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"objstore.yaml": VALUE, "z": VALUE},
            "has no key objstore.yml: its keys are objstore.yaml, z; did you mean objstore.yaml?",
        ),
        ({}, "has no key objstore.yml: it is empty"),
    ],
)
@pytest.mark.parametrize("server", [FakeServer(), FakeServer(is_noted=False)])
def test_a_secret_that_lacks_a_key_is_told_with_those_that_it_has(
    data: Mapping[str, str], message: str, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = replace(server, data={"monitoring/thanos-objects": data})
    ((where, told, fix),) = ask(monkeypatch, plan(THANOS), hub=server)
    assert (where, told) == ("thanos.objectStorage.secret", f"{PLACE} {message}")
    assert fix.splitlines()[1:] == [
        f"{FIX} --dry-run=client --output='jsonpath=data: {{.data}}' |",
        "  kubectl --context hub --namespace monitoring patch secret thanos-objects --patch-file=/dev/stdin",
    ]


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (Unreachable("API server of hub: no route"), "cannot be asked for its Secrets: API server of hub: no route"),
        (
            FakeServer(silent=httpx.ConnectError("refused")),
            "cannot be asked for its Secrets: API server of hub: refused",
        ),
        (FakeServer(refusal=403), f"{PLACE} cannot be looked for: secrets is forbidden: User u cannot get"),
    ],
)
def test_what_cannot_be_asked_is_no_missing_secret_and_keeps_no_other_cluster_from_being_asked(
    server: FakeServer | Unreachable, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = plan({**THANOS, "tls": EXISTING}, hub={"tls": {"mode": "generated"}})
    first, (field, _, _) = ask(monkeypatch, given, hub=server, eu=FakeServer())
    assert first == ("clusters.hub", message, "")
    assert field == "tls.secret"


@pytest.mark.parametrize(
    "text",
    [
        f"<html>{VALUE}</html>",
        f'["{VALUE}"]',
        f'{{"metadata": {{"managedFields": ["{VALUE}"]}}}}',
    ],
)
def test_an_answer_that_is_not_understood_is_not_repeated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a proxy which has a page of its own for what it does not know."""

    class Garbled(FakeServer):
        @asynccontextmanager
        async def call_api(self, method: str, *, url: str, **more: Any) -> AsyncIterator[httpx.Response]:
            if url.endswith("secrets/thanos-objects"):
                yield httpx.Response(200, text=text)
                return
            async with super().call_api(method, url=url, **more) as response:
                yield response

    ((where, message, _),) = ask(monkeypatch, plan(THANOS), hub=Garbled())
    assert where == "clusters.hub"
    assert message.endswith("what it answers is not understood")


def test_a_namespace_that_is_not_there_is_told_once_and_before_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi makes the monitoring one, and refuses one that it finds; any other is somebody else's."""
    given = plan({**THANOS, "tls": EXISTING, "readers": {"grafana": {"clusters": "hub", "password": PASSWORD}}})
    hub = FakeServer(namespaces=())
    found = ask(monkeypatch, given, hub=hub, eu=FakeServer({"monitoring/s": dict.fromkeys(TLS, VALUE)}))
    assert [where for where, _, _ in found] == [
        *("clusters.hub", "tls.secret", "thanos.objectStorage.secret"),
        *("clusters.hub", "readers.grafana.password.secret"),
    ]
    (monitoring, credentials) = ((message, fix) for where, message, fix in found if where == "clusters.hub")
    urn = "urn:pulumi:prod::prometheus-fleet::"
    assert monitoring[0] == "there is no namespace monitoring yet, where Secrets belong"
    assert monitoring[1].splitlines()[-1] == (
        f"pulumi up --stack prod --target {urn}pulumi:providers:kubernetes::hub "
        f"--target {urn}kubernetes:core/v1:Namespace::hub-namespace"
    )
    assert credentials[1] == "kubectl --context hub create namespace credentials"


def test_a_cluster_of_which_the_page_names_no_secret_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, plan({})) == []


def checked(
    monkeypatch: pytest.MonkeyPatch, root: Path, stack: str, server: FakeServer, *arguments: str
) -> tuple[str, str, str]:
    """What `check` prints, where, and the text with which it ends, if it does."""

    async def connected(cluster: ClusterPlan, _: object) -> Prometheus:
        return Prometheus(cluster.name, cluster.namespace, server)

    monkeypatch.setattr(missing_secrets, "connected", connected)
    monkeypatch.delenv("FLEET_CHART", raising=False)
    done = CliRunner().invoke(app, ["check", "--root", str(root), "--stack", stack, *arguments])
    return done.stdout, done.stderr, str(done.exception or "")


def test_check_asks_nobody_unless_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = {**THANOS, "clusters": {"hub": CLUSTERS["hub"]}}
    (tmp_path / "Pulumi.a.yaml").write_text(yaml.safe_dump({"config": {"prometheus-fleet:fleet": page}}))
    server = FakeServer()
    offline, _, error = checked(monkeypatch, tmp_path, "a", server)
    assert (server.asked, error) == ([], "")
    shown, _, error = checked(monkeypatch, tmp_path, "a", server, "--live")
    assert shown == offline
    assert error.startswith(f"thanos.objectStorage.secret: {PLACE} is not there\n\n    {FIX}")
    shown, told, error = checked(monkeypatch, tmp_path, "a", FakeServer(THERE), "--live")
    assert (shown, told.splitlines()[-1], error) == (offline, "every Secret that the page names is there", "")


def test_a_stack_asks_its_own_clusters_and_names_the_page_that_names_the_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples" / "stack-per-region", tmp_path, dirs_exist_ok=True)
    parent = tmp_path / "Pulumi.global.yaml"
    written = yaml.safe_load(parent.read_text())
    written["config"]["prometheus-fleet:fleet"] |= archive({"bearer": HOOK}, ["leaf", "hub"])
    parent.write_text(yaml.safe_dump(written))
    mine = [name for name, each in compile_fleet(read_fleet("us", tmp_path, {})).part("us").clusters.items()]
    _, _, error = checked(monkeypatch, tmp_path, "us", FakeServer(), "--live")
    told = [line for line in error.splitlines() if "is not there" in line]
    assert told
    assert all(line.startswith("Pulumi.global.yaml: destinations.archive.auth.bearer.secret: ") for line in told)
    assert {line.split()[-4] for line in told} < {*mine}
