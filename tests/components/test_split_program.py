"""Two stacks of one fleet on mocks: what the one below exports is all that joins the one above to it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from test_program import ROOT, Recorder, certificate, hash_of, htpasswd, run_program

import fleet.evidence
from fleet.evidence import Clients
from fleet.plan import Plan
from fleet.rotation import Seen

EXAMPLE = ROOT / "examples" / "stack-per-region"
REFERENCE = "pulumi:pulumi:StackReference"


class SplitRecorder(Recorder):
    """Beside the resources, what the program exports, and the outputs of the stacks that it may read."""

    def __init__(self, deployed: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.deployed = deployed
        self.exported: dict[str, pulumi.Output[Any]] = {}

    def export(self, name: str, value: object) -> None:
        self.exported[name] = pulumi.Output.from_input(value)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, object]]:
        if args.typ == REFERENCE:
            self.resources[args.name] = args
            return args.inputs["name"], {"name": args.inputs["name"], **self._outputs(args.inputs["name"])}
        return super().new_resource(args)

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[object, list[tuple[str, str]]]:
        assert args.token.endswith(":readStackOutputs")
        if args.args["name"].endswith(f"/{self.stack}"):
            return super().call(args), []
        try:
            return self._outputs(args.args["name"]), []
        except LookupError as error:
            return {}, [("name", str(error))]

    def _outputs(self, full_name: str) -> dict[str, object]:
        organization, project, stack = full_name.split("/")
        assert (organization, project) == ("organization", "prometheus-fleet")
        if stack not in self.deployed:
            raise LookupError(f"unknown stack {full_name}")
        return {"outputs": self.deployed[stack], "secretOutputNames": ["credentials"]}

    def references(self) -> list[str]:
        return [name for name, args in self.resources.items() if args.typ == REFERENCE]


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("split")
    for page in EXAMPLE.glob("Pulumi.*.yaml"):
        (folder / page.name).write_text(page.read_text())
    (folder / "kubeconfig").write_text("kubeconfig of all")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        patched.delenv("FLEET_CHART", raising=False)
        patched.chdir(folder)
        yield folder


def up(stack: str, deployed: Mapping[str, Mapping[str, Any]]) -> SplitRecorder:
    recorder = SplitRecorder(deployed)
    run(stack, recorder)
    return recorder


def run(stack: str, recorder: SplitRecorder) -> None:
    page = yaml.safe_load(Path(f"Pulumi.{stack}.yaml").read_text())["config"]["prometheus-fleet:fleet"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pulumi, "export", recorder.export)
        run_program(page, stack=stack, recorder=recorder)


def resolved(recorder: SplitRecorder) -> dict[str, Any]:
    async def values() -> dict[str, Any]:
        return {name: await output.future() for name, output in recorder.exported.items()}

    return asyncio.run(values())


def is_secret(output: pulumi.Output[Any]) -> bool:
    async def answer() -> bool:
        return await output.is_secret()

    return asyncio.run(answer())


@pytest.fixture(scope="module")
def regions() -> Mapping[str, SplitRecorder]:
    return {stack: up(stack, {}) for stack in ("eu", "us")}


@pytest.fixture(scope="module")
def deployed(regions: Mapping[str, SplitRecorder]) -> Mapping[str, dict[str, Any]]:
    return {stack: resolved(recorder) for stack, recorder in regions.items()}


@pytest.fixture(scope="module")
def top(deployed: Mapping[str, dict[str, Any]]) -> SplitRecorder:
    return up("global", deployed)


def test_each_stack_deploys_its_own_clusters_alone(regions: Mapping[str, SplitRecorder], top: SplitRecorder) -> None:
    releases = {stack: sorted(recorder.releases()) for stack, recorder in (*regions.items(), ("global", top))}
    assert releases == {
        "eu": ["eu-1-release", "eu-2-release", "eu-release", "shop-1-release"],
        "us": ["us-1-release", "us-2-release", "us-release"],
        "global": ["hub-release"],
    }


def test_a_credential_is_made_once_and_by_the_stack_below(
    regions: Mapping[str, SplitRecorder], top: SplitRecorder
) -> None:
    assert {stack: recorder.passwords() for stack, recorder in regions.items()} == {
        stack: [f"{edge}.{generation}" for edge in edges for generation in (1, 2)]
        for stack, edges in {
            "eu": [
                *("eu-1-alerts-hub", "eu-2-alerts-hub", "eu-alerts-hub"),
                *("eu-federates-eu-1", "eu-federates-eu-2", "hub-federates-eu", "shop-1-writes-hub"),
            ],
            "us": [
                *("hub-federates-us", "us-1-alerts-hub", "us-2-alerts-hub", "us-alerts-hub"),
                *("us-federates-us-1", "us-federates-us-2"),
            ],
        }.items()
    }
    assert top.passwords() == []


def test_a_stack_below_refers_to_no_other(regions: Mapping[str, SplitRecorder], top: SplitRecorder) -> None:
    assert [recorder.references() for recorder in regions.values()] == [[], []]
    assert top.references() == ["eu", "us"]


def test_of_a_credential_the_upper_end_learns_what_it_needs_and_no_more(
    deployed: Mapping[str, dict[str, Any]],
) -> None:
    assert deployed["eu"]["credentials"] == {
        "hub-federates-eu": {
            "password": "password of hub-federates-eu.1",
            "ca": certificate("authority-1"),
            "generation": "1",
        },
        **{
            edge: {
                "hash-1": hash_of(edge, 1),
                "hash-2": hash_of(edge, 2),
                "beginning-1": "password",
                "beginning-2": "password",
                "server_certificate": certificate(f"{edge}-server"),
                "server_key": f"private key of {edge}-server",
            }
            for edge in ("shop-1-writes-hub", "eu-alerts-hub", "eu-1-alerts-hub", "eu-2-alerts-hub")
        },
    }


def test_credentials_are_a_secret_output_and_the_fleet_is_none(regions: Mapping[str, SplitRecorder]) -> None:
    for recorder in regions.values():
        assert is_secret(recorder.exported["credentials"])
        assert not is_secret(recorder.exported["fleet"])


def test_the_top_exports_no_credential(top: SplitRecorder) -> None:
    assert "credentials" not in top.exported


def test_the_hub_calls_each_region_where_its_stack_says_and_with_its_password(top: SplitRecorder) -> None:
    spec = top.releases()["hub-release"].inputs["values"]["prometheus"]["prometheusSpec"]
    jobs = [job for job in spec["additionalScrapeConfigs"] if job["job_name"].startswith("federate-")]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets == {"federate-eu": ["192.0.2.1:9443"], "federate-us": ["192.0.2.1:9443"]}
    assert top.secret_data("hub-federation-credentials") == {
        "eu": "password of hub-federates-eu.1",
        "eu.ca": certificate("authority-1"),
        "us": "password of hub-federates-us.1",
        "us.ca": certificate("authority-1"),
    }


def test_what_crosses_stacks_leaves_the_values_of_a_release_readable(top: SplitRecorder) -> None:
    """One secret among the values would hide them all from diffs and policies."""
    text = json.dumps(top.releases()["hub-release"].inputs)
    assert "4dabf18193072939515e22adb298388d" not in text
    assert "password of" not in text
    assert "$2b$" not in text
    assert "key of" not in text


def test_both_ends_of_a_crossing_edge_agree(regions: Mapping[str, SplitRecorder], top: SplitRecorder) -> None:
    assert regions["eu"].secret_data("eu-gateway-accounts")["auth"] == htpasswd("hub", "hub-federates-eu")
    senders = [f"{name}-alerts-hub" for name in ("eu", "eu-1", "eu-2", "us", "us-1", "us-2")]
    assert top.secret_data("hub-gateway-accounts")["auth"] == "".join(
        htpasswd(edge.partition("-alerts-")[0].partition("-writes-")[0], edge)
        for edge in ("shop-1-writes-hub", *senders)
    )
    assert regions["eu"].secret_data("shop-1-remote-write-credentials") == {
        "hub.username": "shop-1",
        "hub.password": "password of shop-1-writes-hub.1",
        "hub.ca": certificate("authority-1"),
    }
    config = json.loads(top.secret_data("hub-gateway-accounts")["caddy.json"])
    # A sender knows the authority of its own stack alone.
    for name in ("shop-1-writes-hub-server", "us-1-alerts-hub-server"):
        made_below = {"certificate": certificate(name), "key": f"private key of {name}"}
        assert made_below in config["apps"]["tls"]["certificates"]["load_pem"]
    (alertmanager,) = json.loads(regions["us"].secret_data("us-1-alert-credentials")["alertmanagers.yaml"])
    assert alertmanager["static_configs"] == [{"targets": ["hub.example.com:9443"]}]
    assert alertmanager["tls_config"]["server_name"] == "alerts.us-1.hub.prometheus-fleet.internal"
    spec = regions["eu"].releases()["shop-1-release"].inputs["values"]["prometheus"]["prometheusSpec"]
    assert [queue["url"] for queue in spec["remoteWrite"]] == ["https://hub.example.com:9443/api/v1/write"]


def test_an_output_of_the_fleet_names_what_its_own_prometheus_can_answer_for(
    deployed: Mapping[str, dict[str, Any]], top: SplitRecorder
) -> None:
    described = {**deployed, "global": resolved(top)}
    children = {stack: [edge["child"] for edge in each["fleet"]["federation"]] for stack, each in described.items()}
    assert children == {"eu": ["eu-1", "eu-2"], "us": ["us-1", "us-2"], "global": ["eu", "us"]}
    assert [edge["sender"] for edge in described["global"]["fleet"]["remote_write"]] == ["shop-1"]
    assert described["eu"]["fleet"]["remote_write"] == []


def test_a_stack_that_is_not_there_is_named_before_anything_is_made(
    deployed: Mapping[str, dict[str, Any]],
) -> None:
    recorder = SplitRecorder({"eu": deployed["eu"]})
    with pytest.raises(pulumi.RunError) as refusal:
        run("global", recorder)
    said = str(refusal.value).splitlines()
    assert said[0].startswith("stack us cannot be read: ")
    assert "unknown stack organization/prometheus-fleet/us" in said[0]
    assert said[1] == "Stacks below are deployed before the one above: `pulumi up --stack us` first."
    assert set(recorder.resources) <= {"eu"}


@pytest.mark.parametrize(
    ("outputs", "missing"),
    [
        ({}, "credentials.hub-federates-us.password"),
        ({"credentials": {"hub-federates-us": {}}}, "credentials.hub-federates-us.password"),
        ({"credentials": {"hub-federates-us": {"password": "x"}}}, "credentials.hub-federates-us.ca"),
        (
            {"credentials": {"hub-federates-us": {"password": "x", "ca": "x", "generation": "1"}}},
            "fleet.clusters.us.gateway.url",
        ),
    ],
)
def test_a_stack_that_lacks_an_edge_is_named_with_what_is_missing(
    deployed: Mapping[str, dict[str, Any]], outputs: dict[str, Any], missing: str
) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        up("global", {"eu": deployed["eu"], "us": outputs})
    assert str(refusal.value).splitlines() == [
        f"stack us has no output {missing}, which joins us to hub",
        "Stacks below are deployed before the one above: `pulumi up --stack us` first.",
    ]


def test_a_secret_that_cannot_be_decrypted_is_no_password(deployed: Mapping[str, dict[str, Any]]) -> None:
    elided = {**deployed["us"], "credentials": {"hub-federates-us": {"password": {}}}}
    with pytest.raises(pulumi.RunError) as refusal:
        up("global", {**deployed, "us": elided})
    assert str(refusal.value).splitlines() == [
        "stack us's output credentials.hub-federates-us.password cannot be decrypted here",
        "Stacks of one fleet have the same passphrase, or secrets providers that all of them may use.",
    ]


def test_both_ends_of_a_crossing_edge_confirm_a_step_of_its_key(
    deployed: Mapping[str, dict[str, Any]], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for page in folder.glob("Pulumi.*.yaml"):
        (tmp_path / page.name).write_text(page.read_text())
    settings = yaml.safe_load((tmp_path / "Pulumi.global.yaml").read_text())
    settings["config"]["prometheus-fleet:fleet"]["keys"] = {"edges": {"shop-1-writes-hub": {"generation": 2}}}
    (tmp_path / "Pulumi.global.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(tmp_path)

    async def silent(_plan: Plan, clients: Clients) -> Seen:
        return dict.fromkeys(clients, "says nothing")

    monkeypatch.setattr(fleet.evidence, "evidence", silent)
    recorder = SplitRecorder({})
    recorder.last_outputs = deployed["eu"]
    with pytest.raises(pulumi.RunError) as refusal:
        run("eu", recorder)
    assert "- shop-1: says nothing\n- hub: says nothing\n" in str(refusal.value)
    assert recorder.resources == {}
