"""What is written from the policies themselves: their page, and the schema of a stack's settings."""

import json
from collections.abc import Iterator

from fleet_policies import POLICIES
from fleet_policies.policy import FleetPolicy, ResourcePolicy

_BEGINNING = """\
# Policies

<!-- Written by `make policy-docs` from policies/fleet_policies. -->

The policy pack in [`policies/`](../policies/) judges what a Pulumi program is about to deploy. It reads resources
alone, so it holds for this program and for any other that deploys Prometheus: a `Release` (or `Chart`) of
kube-prometheus-stack, under any alias and inside of any other chart; the operator's `Prometheus`, `PrometheusAgent`,
`ScrapeConfig`, `ServiceMonitor`, `PodMonitor` and `PrometheusRule`, also among a chart's `extraManifests`; Secrets
and ConfigMaps that hold scrape configs; Services, Ingresses and routes that lead to Prometheus.

## In somebody else's program

The pack needs Python and what is in its environment, nothing of this program:

```text
git clone --branch VERSION THIS-REPOSITORY prometheus-fleet
make -C prometheus-fleet env
pulumi preview --policy-pack prometheus-fleet/policies --policy-pack-config my-settings.json
```

Pulumi starts it in `policies/`, with the environment that `PulumiPolicy.yaml` names. To take `policies/` along
without the rest, copy it with `cp -rL` (`promql.py` is a link) and install `pulumi-policy`, `promql-parser` and
`pyyaml`.

## Settings

Each policy can be set per stack: its `enforcementLevel` (`mandatory`, which is the default, `advisory` or
`disabled`), and what its section below names. `policies/config/PROJECT.STACK.json` is taken without being asked for;
`--policy-pack-config FILE` comes on top of it. [`schema.json`](../policies/config/schema.json) is their schema.

```json
{
  "intervals": {"shortest": "5s"},
  "resources": {"enforcementLevel": "advisory"}
}
```

## What is not known yet

In a preview much is not known: addresses, passwords. What a policy would have to know is no pass: it says `not
judged, because not known yet` and where, and it is judged in `pulumi up`, when it is known, before the resource is
made. `make policy-state STACK=NAME` judges what is deployed, where everything is known. It ends with 0 where all is
well, 1 where a mandatory policy is violated and 2 where something could not be judged.

Policies over the whole stack are asked when the program has ended: in a preview before anything is made, in `pulumi
up --skip-preview` after.

Messages name paths, never values: the engine hands secrets to policies in clear.

## What cannot be had

- **A deletion.** No policy is asked about what goes; one over the stack sees what remains.
  [keep-storage](#keep-storage) is therefore told what has to be there. `pulumi destroy` asks no policy at all:
  [protection](page.md#protection) stops that.
- **What a chart makes of its values.** Policies judge values, with the defaults of kube-prometheus-stack in mind.
- **Values in files** (`valueYamlFiles`) and text that is a template cannot be read; they are said not to be judged.
- **Objects that others write**: a `ScrapeConfig` applied by hand, Argo CD's or Flux's copies of the chart.
- **A parent or child in another stack.** [way-up](#way-up) is told so by `elsewhere`.

## All of them

"""


def page() -> str:
    """Markdown."""
    return "\n".join((_BEGINNING + _table(), *(section for policy in POLICIES for section in _section(policy))))


def _table() -> str:
    rows = (f"| [{each.id}](#{each.id}) | {each.severity.value} | {each.description} |" for each in POLICIES)
    return "\n".join(("| policy | severity | what holds where it is kept |", "|---|---|---|", *rows, ""))


def _section(policy: FleetPolicy) -> Iterator[str]:
    yield f"### {policy.id}\n"
    over = "each resource" if isinstance(policy, ResourcePolicy) else "the whole stack"
    yield f"{policy.description} {policy.why} (Severity {policy.severity.value}, judged over {over}.)\n"
    yield f"```yaml\n{policy.remedy}\n```\n"
    if policy.settings:
        yield "| setting | default | meaning |\n|---|---|---|"
        for name, of in policy.settings.items():
            yield f"| `{name}` | `{json.dumps(of['default'])}` | {of['description']} |"
        yield ""


def schema() -> dict[str, object]:
    """JSON Schema of what `--policy-pack-config` takes."""
    level = {"enum": ["mandatory", "advisory", "disabled"], "description": "What a violation does."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of the policies of prometheus-fleet for one stack",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "all": level,
            **{
                policy.id: {
                    "description": policy.description,
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"enforcementLevel": level, **policy.settings},
                }
                for policy in POLICIES
            },
        },
    }
