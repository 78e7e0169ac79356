"""What only the whole stack shows: whose labels collide, who is on whose way up, what would be lost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import promql_parser
from pulumi_policy import Severity

from fleet_policies.model import (
    ScrapeJob,
    Server,
    federation_jobs,
    recording_rules,
    remote_writes,
    seconds,
    servers,
)
from fleet_policies.policy import ResourcePolicy, StackPolicy, Violation
from fleet_policies.promql import metric_names, result_labels
from fleet_policies.resources import Resource
from fleet_policies.tree import Node

_OF_REPLICAS = {"prometheus", "prometheus_replica"}
"""What the operator itself adds: it tells replicas apart, not clusters."""


@dataclass(frozen=True)
class Way:
    """One way up: a parent that federates, or a receiver that is written to."""

    lower: Server
    upper: Server | None
    """None where it is not in this stack."""
    job: ScrapeJob | None = None


@dataclass(frozen=True)
class Fleet:
    servers: Sequence[Server]
    ways: Sequence[Way] = field(default_factory=list[Way])

    @property
    def has_unknown_ways(self) -> bool:
        ways = (each.spec / key for each in self.servers for key in ("additionalScrapeConfigs", "remoteWrite"))
        return any(way.is_open for way in ways)

    def up_from(self, server: Server) -> Sequence[Way]:
        return [way for way in self.ways if way.lower is server]


def fleet(resources: Sequence[Resource]) -> Fleet:
    found = [server for resource in resources for server in servers(resource)]
    ways = [
        Way(child, parent, job)
        for parent in found
        for job in federation_jobs(parent.resource)
        for child in found
        if child is not parent and _is_meant(child, job.asserted)
    ]
    for sender in found:
        for queue in remote_writes(sender):
            name = (queue.node / "name").text
            receiver = next((each for each in found if name in each.names and each is not sender), None)
            if queue.url.is_open:
                # Of a Prometheus in this stack, or of the fleet's Thanos, which is no way up.
                is_prometheus = name != "thanos"
            else:
                is_prometheus = (queue.url.text or "").rstrip("/").endswith("/api/v1/write")
            if receiver is not None or is_prometheus:
                ways.append(Way(sender, receiver))
    return Fleet(found, ways)


def _is_meant(child: Server, asserted: Mapping[str, str]) -> bool:
    """Whether a job that asserts these labels asks this child: by its cluster, or an aggregator by its region."""
    labels = child.external_labels
    if "cluster" in asserted:
        return labels.get("cluster") == asserted["cluster"]
    return child.tier == "regional" and "region" in asserted and labels.get("region") == asserted["region"]


def _external_labels(resources: Sequence[Resource], _: Node) -> Iterator[Violation]:
    found = [server for resource in resources for server in servers(resource)]
    of = [tuple(sorted((key, text) for key, text in _own_labels(server).items())) for server in found]
    times = Counter(of)
    for server, labels in zip(found, of, strict=True):
        given = server.spec / "externalLabels"
        where = f"{server.resource.name}: {given.where}"
        if given.is_unknown or [node for node in given.values() if node.is_unknown]:
            continue
        if not labels:
            what = "nothing says whose series these are; set a label, as in `externalLabels: {cluster: eu-1}`"
            yield Violation(where, what, server.resource.urn)
        elif times[labels] > 1:
            others = sorted(
                each.resource.name for each, own in zip(found, of, strict=True) if own == labels and each is not server
            )
            what = f"the same labels as {', '.join(others)}; give each a `cluster` of its own"
            yield Violation(where, what, server.resource.urn)


def _own_labels(server: Server) -> dict[str, str]:
    return {key: text for key, text in server.external_labels.items() if key not in _OF_REPLICAS}


external_labels = StackPolicy(
    id="external-labels",
    description="Every Prometheus of a stack has external labels, and no two have the same.",
    severity=Severity.HIGH,
    why="Above, they are all that tells the series of one cluster from those of another.",
    remedy="prometheusSpec:\n  externalLabels: {cluster: eu-1, region: eu}",
    judge=_external_labels,
)


def _rules_keep_labels(resource: Resource, settings: Node) -> Iterator[Violation]:
    kept = {prefix: labels.texts for prefix, labels in (settings / "labels").items()}
    for rule in recording_rules(resource):
        prefix = max((each for each in kept if rule.record.startswith(each)), key=len, default=None)
        expr = rule.expr.text
        if prefix is None or expr is None:
            continue
        try:
            parsed = promql_parser.parse(expr)
        except ValueError:
            yield Violation(rule.expr.where, "does not parse; no Prometheus evaluates it")
            continue
        # What reads no series, as a heartbeat, says something of its own server alone.
        labels = result_labels(parsed) if next(metric_names(parsed), None) is not None else None
        missing = [label for label in kept[prefix] if labels is not None and label not in labels]
        if missing:
            names = ", ".join(missing)
            what = f"records {prefix}* without {names}; aggregate `by ({', '.join(kept[prefix])}, …)`"
            yield Violation(rule.expr.where, what)


rules_keep_labels = ResourcePolicy(
    id="rules-keep-labels",
    description="What is recorded of several clusters says which.",
    severity=Severity.MEDIUM,
    why="A recording rule that drops `region` makes one series of all regions, or fails as a duplicate above.",
    remedy="- record: region:namespace_cpu:sum\n  expr: sum by (region, namespace) (cluster:namespace_cpu:sum)",
    settings={
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "default": {"region:": ["region"], "region:cluster_": ["region", "cluster"]},
            "description": "Labels to keep, by how a record's name begins; the longest beginning counts.",
        }
    },
    judge=_rules_keep_labels,
)


def _longer_than_child(resources: Sequence[Resource], _: Node) -> Iterator[Violation]:
    seen = fleet(resources)
    for way in seen.ways:
        if way.job is None or way.upper is None:
            continue
        interval = way.job / "scrape_interval"
        every = seconds(interval.text or "")
        below = [way.lower.spec / "evaluationInterval", way.lower.spec / "scrapeInterval"]
        below += [
            each.job / "scrape_interval" for each in seen.ways if each.upper is way.lower and each.job is not None
        ]
        slowest = max((found for node in below if (found := seconds(node.text or "")) is not None), default=None)
        if every is not None and slowest is not None and every < slowest:
            where = f"{way.upper.resource.name}: {interval.where}"
            what = f"federates {way.lower.resource.name} more often than that has anything new; raise it"
            yield Violation(where, what, way.upper.resource.urn)


longer_than_child = StackPolicy(
    id="longer-than-child",
    description="A parent federates no more often than its child scrapes, records and federates.",
    severity=Severity.LOW,
    why="Asked more often, a child sends what it has sent before.",
    remedy="scrape_interval: 120s     # of the parent's job, at least as long as the child's own intervals",
    judge=_longer_than_child,
)


def _way_up(resources: Sequence[Resource], settings: Node) -> Iterator[Violation]:
    if (settings / "elsewhere").is_on:
        return
    seen, both = fleet(resources), set((settings / "both").texts)
    for server in seen.servers:
        ways = seen.up_from(server)
        if server.tier in {"leaf", "regional", "edge"} and not ways and not seen.has_unknown_ways:
            what = "nobody federates it and it writes to nobody; add a job to its parent, or a `remoteWrite`"
            yield Violation(server.resource.name, what, server.resource.urn)
        if server.tier == "leaf" and len(ways) > 1 and not server.names & both:
            what = (
                f"{len(ways)} ways up carry its series twice; take one away, or name it in the setting `both` "
                "of this policy"
            )
            yield Violation(server.resource.name, what, server.resource.urn)


way_up = StackPolicy(
    id="way-up",
    description="Every leaf, region and edge has a way up, and a leaf two only where that is meant.",
    severity=Severity.HIGH,
    why="A cluster without a way up is watched by nobody above; with two, every sum counts it twice.",
    remedy=(
        "# a job of the parent that says which child it asks\n"
        "static_configs:\n"
        "  - targets: [eu-1.example.com:9443]\n"
        "    labels: {cluster: eu-1, region: eu}"
    ),
    settings={
        "both": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Leaves that are federated and write as well (`up: both` on the page).",
        },
        "elsewhere": {
            "type": "boolean",
            "default": False,
            "description": "Whether parents may be in another stack, where this one does not see them.",
        },
    },
    judge=_way_up,
)


def _no_cycle(resources: Sequence[Resource], _: Node) -> Iterator[Violation]:
    seen = fleet(resources)
    above = {
        id(server): [way.upper for way in seen.up_from(server) if way.upper is not None] for server in seen.servers
    }
    for server in seen.servers:
        if _reaches(server, server, above):
            what = "its series come back to it on their way up; take one of the jobs or queues away"
            yield Violation(server.resource.name, what, server.resource.urn)


def _reaches(start: Server, end: Server, above: Mapping[int, Sequence[Server]]) -> bool:
    seen: set[int] = set()
    ahead = [*above[id(start)]]
    while ahead:
        each = ahead.pop()
        if each is end:
            return True
        if id(each) not in seen:
            seen.add(id(each))
            ahead += above[id(each)]
    return False


no_cycle = StackPolicy(
    id="no-cycle",
    description="No series comes back to where it came from.",
    severity=Severity.HIGH,
    why="In a circle every sum counts itself.",
    remedy="# eu federates eu-1, hub federates eu; neither eu-1 nor eu federates hub",
    judge=_no_cycle,
)


def _high_availability(resources: Sequence[Resource], settings: Node) -> Iterator[Violation]:
    tiers, exceptions = (settings / "tiers").texts, set((settings / "except").texts)
    for server in (server for resource in resources for server in servers(resource)):
        replicas = server.spec / "replicas"
        if server.tier not in tiers or server.names & exceptions or replicas.is_unknown:
            continue
        if (replicas.number or 1) < _PAIR:
            where = f"{server.resource.name}: {replicas.where}"
            what = "one Prometheus is one that may be missing; set `replicas: 2`"
            yield Violation(where, what, server.resource.urn)


_PAIR = 2

high_availability = StackPolicy(
    id="high-availability",
    description="Tiers that must not fail run in pairs.",
    severity=Severity.MEDIUM,
    why="Whatever restarts a Prometheus leaves a gap in all that it watches; of two, one is there.",
    remedy="prometheusSpec:\n  replicas: 2",
    settings={
        "tiers": {
            "type": "array",
            "items": {"type": "string", "enum": ["leaf", "regional", "global", "edge"]},
            "default": [],
            "description": "Tiers that have to run in pairs.",
        },
        "except": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Clusters of those tiers that need not.",
        },
    },
    judge=_high_availability,
)


def _no_generated_ca(resources: Sequence[Resource], settings: Node) -> Iterator[Violation]:
    if not (settings / "forbidden").is_on:
        return
    for resource in resources:
        if resource.type == "tls:index/selfSignedCert:SelfSignedCert":
            authority = resource.props / "isCaCertificate"
            if authority.is_on:
                what = "the state of this stack holds an authority's key; take certificates from an issuer"
                yield Violation(resource.name, what, resource.urn)


no_generated_ca = StackPolicy(
    id="no-generated-ca",
    description="No authority is made in the stack, where that is not wanted.",
    severity=Severity.MEDIUM,
    why="Whoever reads the state of a stack that makes its own authority can sign for every cluster.",
    remedy="gateway:\n  tls: {mode: certManager, issuer: {name: fleet, kind: ClusterIssuer}}",
    settings={
        "forbidden": {
            "type": "boolean",
            "default": False,
            "description": "Whether an authority of the program's own is a mistake.",
        }
    },
    judge=_no_generated_ca,
)


def _keep_storage(resources: Sequence[Resource], settings: Node) -> Iterator[Violation]:
    found = [server for resource in resources for server in servers(resource) if server.tier == "global"]
    kept, allowed = set((settings / "kept").texts), set((settings / "allowed").texts)
    for name in sorted(kept - allowed):
        if not any(name in server.names and _has_volume(server) for server in found):
            what = "its storage is not in this stack any more; bring it back, or name it in the setting `allowed`"
            yield Violation(name, what)
    for server in found:
        if server.names & allowed:
            continue
        if kept and not server.names & kept and _has_volume(server):
            what = "its storage is deleted unseen if it ever goes; name it in the setting `kept`"
            yield Violation(server.resource.name, what, server.resource.urn)
        policy = server.spec / "persistentVolumeClaimRetentionPolicy"
        for event in ("whenDeleted", "whenScaled"):
            if (policy / event).text == "Delete":
                what = "deletes what the fleet knows along with the object; set it to `Retain`"
                where = f"{server.resource.name}: {(policy / event).where}"
                yield Violation(where, what, server.resource.urn)


def _has_volume(server: Server) -> bool:
    return any((server.spec / key / "volumeClaimTemplate").is_given for key in ("storageSpec", "storage"))


keep_storage = StackPolicy(
    id="keep-storage",
    description="The storage of a global tier goes only where somebody has said so.",
    severity=Severity.CRITICAL,
    why=(
        "It holds what the whole fleet was. A policy sees only what remains in a stack, so what is deleted is seen by "
        "its name in the settings: they say what has to be there."
    ),
    remedy=(
        "prometheusSpec:\n"
        "  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}\n"
        '# and to delete it all the same, in policies/config: "keep-storage": {"allowed": ["hub"]}'
    ),
    settings={
        "kept": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Global clusters whose storage has to be in the stack.",
        },
        "allowed": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Global clusters whose storage may go.",
        },
    },
    judge=_keep_storage,
)

POLICIES = (
    external_labels,
    rules_keep_labels,
    longer_than_child,
    way_up,
    no_cycle,
    high_availability,
    no_generated_ca,
    keep_storage,
)
