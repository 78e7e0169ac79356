"""The pack as a whole: its documents, its settings, and the stacks of this repository under it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from destinations import documented, plan, queues
from fleet_policies import POLICIES
from fleet_policies.config import CONFIG, config_file, initial_config, read_settings
from fleet_policies.documentation import page, schema
from fleet_policies.policy import FleetPolicy
from fleet_policies.state import State, judged
from pulumi_policy import EnforcementLevel

from fleet.compiler import compile_page
from fleet.page import read_stack
from fleet.render import render
from tests.policies.judging import judged as asked
from tests.policies.judging import release

ROOT = Path(__file__).parents[2]
SETTINGS = sorted(CONFIG.glob("*.*.json"))


def test_the_page_is_what_the_policies_say() -> None:
    assert (ROOT / "docs" / "policies.md").read_text() == page(), "`make policy-docs` writes it"


def test_the_schema_is_what_the_policies_say() -> None:
    assert json.loads((CONFIG / "schema.json").read_text()) == schema(), "`make policy-docs` writes it"


def test_every_policy_has_an_id_of_its_own() -> None:
    assert len({policy.id for policy in POLICIES}) == len(POLICIES)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_a_policy_says_what_the_engine_shows_of_it(policy: FleetPolicy) -> None:
    shown: Any = policy.pulumi()
    assert shown.url == f"docs/policies.md#{policy.id}"
    assert shown.enforcement_level is EnforcementLevel.MANDATORY
    assert (shown.severity, shown.remediation_steps) == (policy.severity, policy.remedy)
    assert yaml.safe_load(policy.remedy) is not None or policy.remedy.startswith("#")


def test_the_pack_has_a_version() -> None:
    document = yaml.safe_load((ROOT / "policies" / "PulumiPolicy.yaml").read_text())
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["version"])


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.stem)
def test_settings_of_a_stack_are_such_as_there_are(file: Path) -> None:
    known = {policy.id: {*policy.settings, "enforcementLevel"} for policy in POLICIES}
    for policy, settings in read_settings(file).items():
        assert set(settings) <= known[policy]
    project, stack = file.stem.split(".")
    assert config_file(project, stack) == file
    assert (ROOT / f"Pulumi.{stack}.yaml").exists()


def test_a_stack_of_another_project_has_no_settings_of_ours() -> None:
    assert initial_config("shop", "prod") is None


def test_the_pack_takes_nothing_of_the_program() -> None:
    for file in (ROOT / "policies").rglob("*.py"):
        assert not re.search(r"^(?:from|import) (?:fleet|components|local)\b", file.read_text(), re.MULTILINE), file


def test_a_setting_does_not_lower_the_level_of_its_policy() -> None:
    brought = initial_config("prometheus-fleet", "dev")
    assert brought is not None
    assert brought["intervals"] == {"shortest": "5s", "enforcementLevel": EnforcementLevel.MANDATORY}
    assert brought["resources"] == {"enforcementLevel": EnforcementLevel.DISABLED}


def state_of(stack: str) -> State:
    """As a stack's state would be once it is deployed, with the addresses that a rendering has."""
    kept: list[dict[str, Any]] = []
    plan = compile_page(read_stack(stack, ROOT, {}))
    for path, text in render(plan).items():
        cluster = plan.clusters[path.parts[0]]
        document = yaml.load(text, Loader=yaml.CSafeLoader)
        if path.name == "values.yaml":
            chart = {"chart": cluster.chart.source, "version": cluster.chart.version, "namespace": cluster.namespace}
            kind, name, document = "helm.sh/v3:Release", f"{cluster.name}-release", {**chart, "values": document}
        else:
            api = document["apiVersion"] if "/" in document["apiVersion"] else f"core/{document['apiVersion']}"
            kind, name = f"{api}:{document['kind']}", f"{cluster.name}-{path.stem}"
        urn = f"urn:pulumi:{stack}::prometheus-fleet::kubernetes:{kind}::{name}"
        provider = f"urn:pulumi:{stack}::prometheus-fleet::pulumi:providers:kubernetes::{cluster.name}::id"
        kept.append({"urn": urn, "type": f"kubernetes:{kind}", "inputs": document, "provider": provider})
    return State(json.dumps({"version": 3, "deployment": {"resources": kept}}))


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stack_of_this_repository_keeps_every_policy(stack: str) -> None:
    state = state_of(stack)
    assert state.stack == ("prometheus-fleet", stack)
    settings = read_settings(config_file(*state.stack))
    assert [message for finding in judged(state, settings) for message in finding.messages] == []


@pytest.mark.parametrize("example", documented().values(), ids=documented())
def test_every_documented_destination_keeps_the_policies_that_judge_queues(example: dict[str, Any]) -> None:
    compiled = plan(example)
    for name in compiled.clusters:
        sender = release({"remoteWrite": queues(compiled, name)})
        for policy in ("remote-write-auth", "tls", "no-inline-secrets"):
            said = asked(policy, sender)
            assert (said.messages, said.unjudged) == ([], None)


def test_without_its_settings_stack_dev_would_be_refused() -> None:
    refused = {finding.policy.id for finding in judged(state_of("dev"), {})}
    assert refused == {"intervals", "resources", "retention-and-storage"}
