"""What would be deployed, as files: chart values and every other object, secrets by name only."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import yaml

from fleet import manifests, thanos
from fleet.alertmanager import urls_in_config
from fleet.alerts import alert_groups
from fleet.dashboards import dashboards
from fleet.gateway import ACCOUNTS_KEY, CONFIG_KEY
from fleet.keys import held
from fleet.manifests import Manifest
from fleet.names import ALERTMANAGERS_KEY, CA_KEY, HELD_KEYS, Tier
from fleet.network_policies import network_policies, thanos_policies
from fleet.notifier import alertmanagers
from fleet.page import ObjectStorage
from fleet.plan import (
    PUBLIC,
    ClusterPlan,
    Discovery,
    Edge,
    GatewayPlan,
    OwnWriteEdge,
    Plan,
    Replica,
    StoreEdge,
)
from fleet.remote_write import held_sources
from fleet.rules import rule_groups
from fleet.values import Child, Receiver, chart_values

PUBLIC_PLACEHOLDER = "(made by pulumi up)"
SECRET_PLACEHOLDER = "(set by pulumi up)"  # noqa: S105 (it stands where a secret will)


def render(plan: Plan) -> Mapping[Path, str]:
    """Each file's text by its path, `CLUSTER/values.yaml` and `CLUSTER/KIND-NAME.yaml`; the same on every run."""
    files: dict[Path, str] = {}
    for cluster in plan.clusters.values():
        folder = Path(cluster.name)
        files[folder / "values.yaml"] = as_yaml(rendered_values(plan, cluster))
        for manifest in manifests_of(plan, cluster):
            name = f"{manifest['kind'].lower()}-{manifest['metadata']['name']}.yaml"
            files[folder / name] = as_yaml(manifest)
    return files


def rendered_values(
    plan: Plan, cluster: ClusterPlan, addresses: Mapping[str, str] = MappingProxyType({})
) -> Mapping[str, object]:
    """`addresses` of gateways, `host:port` by cluster, where they are known."""

    def address(name: str) -> str:
        return addresses.get(name) or _address(plan.cluster(name))

    def write_url(edge: OwnWriteEdge, replica: Replica) -> str:
        called = edge.receiver if isinstance(edge, StoreEdge) else replica.name
        host = replica.address.host or f"{called.replace('/', '-')}.gateway.invalid"
        return f"https://{addresses.get(called) or f'{host}:{replica.address.port}'}{edge.path}"

    children = [Child(edge, address(edge.child)) for edge in plan.federated_by(cluster.name)]
    own = plan.own_writes_of(cluster.name)
    receivers = [Receiver(edge, write_url(edge, to), number) for edge in own for number, to in enumerate(edge.replicas)]
    receivers += [Receiver(edge, edge.destination.url) for edge in cluster.destinations]
    return chart_values(cluster, children, receivers, PUBLIC_PLACEHOLDER if _is_told(cluster.bucket) else None)


def write(files: Mapping[Path, str], out: Path, stack: str) -> None:
    """Writes `files` below `out` and removes what an earlier rendering of the stack left there and no longer makes.

    The first line of each file says whose it is: what others put there stays.
    """
    header = f"# Written by `python -m fleet render --stack {stack}`.\n"
    for path in out.glob("*/*.yaml"):
        if path.relative_to(out) not in files and path.read_text().startswith(header):
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    for path, text in files.items():
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(header + text)


def _address(cluster: ClusterPlan) -> str:
    """A LoadBalancer's address is known only after `up`."""
    return f"{_gateway(cluster).host or f'{cluster.name}.gateway.invalid'}:{_gateway(cluster).port}"


def _gateway(cluster: ClusterPlan) -> GatewayPlan:
    if cluster.gateway is None:
        msg = f"{cluster.name} has no gateway"
        raise ValueError(msg)
    return cluster.gateway


def manifests_of(plan: Plan, cluster: ClusterPlan) -> Iterator[Manifest]:
    """Every object beside the chart's, placeholders where a secret or what `up` makes will stand."""
    yield manifests.namespace(cluster)
    yield from network_policies(cluster)
    yield from _thanos(cluster)
    if _is_told(cluster.bucket):
        yield thanos.objects_secret(cluster, SECRET_PLACEHOLDER)
    if cluster.gateway is not None:
        yield from _gateway_manifests(cluster, cluster.gateway)
    calls: list[Edge | Discovery] = [*plan.federated_by(cluster.name)]
    if cluster.discovery is not None:
        calls.append(cluster.discovery)
        yield manifests.discovery_account(cluster, {ACCOUNTS_KEY: SECRET_PLACEHOLDER, CONFIG_KEY: SECRET_PLACEHOLDER})
    if calls:
        yield manifests.federation_credentials(cluster, _held_data(calls))
    yield from _write_credentials(plan, cluster)
    for edge in plan.alerts_of(cluster.name):
        config = {ALERTMANAGERS_KEY: alertmanagers(edge, _address(plan.cluster(edge.receiver)))}
        yield manifests.alert_credentials(cluster, {**_held_data([edge]), **config})
    if urls := urls_in_config(cluster.alertmanager):
        yield manifests.alert_urls(cluster, dict.fromkeys(urls, SECRET_PLACEHOLDER))
    for group in (*rule_groups(cluster), *alert_groups(plan, cluster)):
        yield manifests.prometheus_rule(cluster, group)
    if cluster.tier is Tier.GLOBAL:
        yield from _shown(plan, cluster)


def _thanos(cluster: ClusterPlan) -> Iterator[Manifest]:
    if (page := cluster.thanos) is None:
        return
    yield from thanos_policies(cluster)
    yield from thanos.services(cluster, page).values()
    yield thanos.topology(cluster, PUBLIC_PLACEHOLDER, PUBLIC_PLACEHOLDER)
    if page.object_storage.volume is not None:
        yield thanos.objects_volume(cluster, page.object_storage.volume)
    is_told = _is_told(page.object_storage)
    if is_told:
        yield thanos.objects_secret(cluster, SECRET_PLACEHOLDER)
    if page.receivers > 1:
        yield thanos.disruption_budget(cluster)
    yield from thanos.workloads(cluster, page, PUBLIC_PLACEHOLDER if is_told else None).values()


def _is_told(bucket: ObjectStorage | None) -> bool:
    """By the program: what it says lies in a Secret, of which pods carry a mark."""
    return bucket is not None and bucket.config is not None


def _shown(plan: Plan, top: ClusterPlan) -> Iterator[Manifest]:
    if top.grafana:
        yield manifests.grafana_admin(top, SECRET_PLACEHOLDER)
        yield manifests.grafana_role(top)
    for uid, model in dashboards(plan).items():
        yield manifests.dashboard(top, uid, model)


def _write_credentials(plan: Plan, cluster: ClusterPlan) -> Iterator[Manifest]:
    if writes := plan.own_writes_of(cluster.name):
        yield manifests.remote_write_credentials(cluster, _held_data(writes))
    if keys := [key for edge in cluster.destinations for key in held_sources(edge)]:
        yield manifests.destination_credentials(cluster, dict.fromkeys(keys, SECRET_PLACEHOLDER))


def _gateway_manifests(cluster: ClusterPlan, gateway: GatewayPlan) -> Iterator[Manifest]:
    yield manifests.gateway_service(cluster)
    yield from manifests.replica_gateways(cluster)
    yield from manifests.replica_prometheuses(cluster)
    yield from manifests.gateway_ways(cluster, PUBLIC_PLACEHOLDER)
    if cluster.hears_alerts:
        yield manifests.gateway_alertmanager(cluster)
    yield manifests.gateway_secret(cluster, {ACCOUNTS_KEY: SECRET_PLACEHOLDER, CONFIG_KEY: SECRET_PLACEHOLDER})
    if cluster.readers:
        ca = {CA_KEY: PUBLIC_PLACEHOLDER} if gateway.server.ca != PUBLIC else {}
        yield manifests.gateway_readers(
            cluster, {**{reader.name: SECRET_PLACEHOLDER for reader in cluster.readers}, **ca}
        )


def _held_data(calls: Iterable[Edge | Discovery]) -> Mapping[str, object]:
    return dict.fromkeys([*(key for edge in calls for key in held(edge)), HELD_KEYS], SECRET_PLACEHOLDER)


def as_yaml(data: Mapping[str, object]) -> str:
    """The same for the same data, keys in order and text of several lines as such."""
    # Through JSON: mappings and tuples of every kind become what YAML has.
    return yaml.dump(json.loads(json.dumps(data)), Dumper=_Dumper, sort_keys=True, width=120)


class _Dumper(yaml.CSafeDumper):
    """Text of several lines as such: in quotes, neither a dashboard nor its changes could be read."""


def _represent_text(_: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
