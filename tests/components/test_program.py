"""The whole program on mocks: what is registered, on which provider, in which order. Mocks prove wiring alone."""

import asyncio
import json
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pulumi
import pulumi.runtime.mocks
import pulumi.runtime.settings
import pytest
import yaml

from fleet.adopt import import_file
from fleet.plan import Plan

ROOT = Path(__file__).parents[2]
RELEASE = "kubernetes:helm.sh/v3:Release"


class Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.resources: dict[str, pulumi.runtime.MockResourceArgs] = {}
        self.urns: set[str] = set()
        """Of all that was registered, components as well."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, object]]:
        if not args.typ.startswith("prometheus-fleet:"):
            self.resources[args.name] = args
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs |= {"result": f"password of {args.name}", "bcryptHash": f"$2b$10$hash-of-{args.name}"}
        if args.typ == "kubernetes:core/v1:Service":
            outputs |= {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
        return args.name, outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, object]:
        raise AssertionError(f"the program calls {args.token}")

    def named(self, name: str) -> pulumi.runtime.MockResourceArgs:
        return self.resources[name]

    def secret_data(self, name: str) -> dict[str, str]:
        """The data of a Secret, which must have been marked as secret: then it comes wrapped."""
        return self.named(name).inputs["stringData"]["value"]

    def releases(self) -> dict[str, pulumi.runtime.MockResourceArgs]:
        return {name: args for name, args in self.resources.items() if args.typ == RELEASE}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Stack dev's, with kubeconfigs that exist."""
    page = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["prometheus-fleet:fleet"]
    folder = tmp_path_factory.mktemp("dev")
    kubeconfigs = folder / ".local" / "kubeconfigs"
    kubeconfigs.mkdir(parents=True)
    for name in page["clusters"]:
        (kubeconfigs / f"{name}.yaml").write_text(f"kubeconfig of {name}")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.delenv("FLEET_CHART", raising=False)
        yield page


@pytest.fixture(scope="module")
def program(page: dict[str, Any]) -> Recorder:
    return run_program(page)


def run_program(
    page: dict[str, object],
    secrets: Mapping[str, str] = MappingProxyType({}),
    *,
    stack: str = "dev",
    recorder: Recorder | None = None,
    preview: bool = False,
) -> Recorder:
    recorder = recorder or Recorder()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(
        recorder, project="prometheus-fleet", stack=stack, organization="organization", preview=preview
    )
    named = {f"prometheus-fleet:{key}": value for key, value in secrets.items()}
    pulumi.runtime.set_all_config({"prometheus-fleet:fleet": json.dumps(page), **named})

    def run() -> None:
        runpy.run_path(str(ROOT / "__main__.py"))

    try:
        loop.run_until_complete(pulumi.runtime.stack.run_pulumi_func(run))
        monitor = pulumi.runtime.settings.get_monitor()
        assert isinstance(monitor, pulumi.runtime.mocks.MockMonitor)
        recorder.urns = {*monitor.get_registered_resources()}
    finally:
        # A program that failed leaves the SDK with its error, and the loop with what still waits.
        waiting = asyncio.all_tasks(loop)
        for task in waiting:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        pulumi.runtime.settings.SETTINGS.rpc_manager.clear()
        pulumi.runtime.settings.SETTINGS.outputs.clear()
        loop.close()
    return recorder


def test_every_cluster_gets_one_release_on_its_own_provider(program: Recorder) -> None:
    assert {name: args.provider.rsplit("::", 2)[1] for name, args in program.releases().items()} == {
        f"{name}-release": name for name in ("eu-1", "eu-2", "eu", "hub", "shop-1")
    }


def test_every_kubernetes_object_is_on_the_provider_of_its_cluster(program: Recorder) -> None:
    objects = [args for args in program.resources.values() if args.typ.startswith("kubernetes:")]
    for args in objects:
        provider = args.provider.rsplit("::", 2)[1]
        assert args.name == provider or args.name.startswith(f"{provider}-"), args.name
    assert {"eu-1-gateway-accounts", "hub-gateway-service", "shop-1-remote-write-credentials"} <= {
        args.name for args in objects
    }


def test_every_edge_has_a_password_of_its_own(program: Recorder) -> None:
    passwords = [name for name, args in program.resources.items() if args.typ.startswith("random:")]
    assert sorted(passwords) == [
        "eu-federates-eu-1",
        "eu-federates-eu-2",
        "hub-federates-eu",
        "shop-1-writes-hub",
    ]


def test_no_secret_is_in_the_values_of_a_release(program: Recorder) -> None:
    assert program.releases()
    for args in program.releases().values():
        text = json.dumps(args.inputs)
        assert "password of" not in text
        assert "hash-of" not in text


@pytest.mark.parametrize("on", [True, False])
def test_every_cluster_has_network_policies_unless_the_page_says_otherwise(
    page: dict[str, Any], program: Recorder, *, on: bool
) -> None:
    recorder = program if on else run_program({**page, "networkPolicies": False})
    created = [args for args in recorder.resources.values() if args.typ.endswith(":NetworkPolicy")]
    denying = {name for name in recorder.resources if name.endswith("-policy-default-deny")}
    assert denying == ({f"{name}-policy-default-deny" for name in page["clusters"]} if on else set())
    assert bool(created) is on


def test_a_gateway_accepts_its_callers_and_nobody_else(program: Recorder) -> None:
    def accounts(cluster: str) -> str:
        return program.secret_data(f"{cluster}-gateway-accounts")["auth"]

    assert accounts("eu-1") == "eu:$2b$10$hash-of-eu-federates-eu-1\n"
    assert accounts("eu") == "hub:$2b$10$hash-of-hub-federates-eu\n"
    assert accounts("hub") == "shop-1:$2b$10$hash-of-shop-1-writes-hub\n"


def test_a_parent_holds_one_password_for_each_child(program: Recorder) -> None:
    assert program.secret_data("eu-federation-credentials") == {
        "eu-1": "password of eu-federates-eu-1",
        "eu-2": "password of eu-federates-eu-2",
    }


def test_alerts_are_objects_of_the_global_cluster_alone(program: Recorder) -> None:
    alerts = {name for name in program.resources if "-alerts-" in name}
    assert alerts == {"hub-alerts-clusters", "hub-alerts-federation", "hub-alerts-watchdog"}
    enabled = {name: args.inputs["values"]["alertmanager"]["enabled"] for name, args in program.releases().items()}
    assert [name for name, is_enabled in enabled.items() if is_enabled] == ["hub-release"]


def test_kubeconfigs_reach_their_provider(program: Recorder) -> None:
    assert program.named("eu-1").inputs["kubeconfig"]["value"] == "kubeconfig of eu-1"


def test_dashboards_lie_in_the_global_cluster_and_nowhere_else(program: Recorder) -> None:
    maps = [args for args in program.resources.values() if args.typ == "kubernetes:core/v1:ConfigMap"]
    assert sorted(args.inputs["metadata"]["name"] for args in maps) == [
        "prometheus-fleet-cluster",
        "prometheus-fleet-federation",
        "prometheus-fleet-overview",
        "prometheus-fleet-region",
    ]
    for args in maps:
        assert args.provider.rsplit("::", 2)[1] == "hub"
        assert args.inputs["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((file, text),) = args.inputs["data"].items()
        assert f"{json.loads(text)['uid']}.json" == file


def test_what_is_imported_is_what_the_program_registers(program: Recorder, dev: Plan) -> None:
    resources = import_file(dev, [*dev.clusters], "dev")["resources"]
    types = {resource["name"]: resource["type"] for resource in resources}
    # A mock's URN begins with the parent's type.
    above = {each["name"]: f"{types[each['parent']]}$" if "parent" in each else "" for each in resources}
    imported = {f"{above[name]}{type_}::{name}" for name, type_ in types.items()}
    assert len(imported) == 3 * len(dev.clusters)
    registered = {urn.split("::", 2)[2].removeprefix("pulumi:pulumi:Stack$") for urn in program.urns}
    assert imported - registered == set()
