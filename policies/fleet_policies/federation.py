"""How a parent asks its children."""

import re
from collections.abc import Iterator, Sequence

import promql_parser
from promql_parser import MatchOp, VectorSelector
from pulumi_policy import Severity

from fleet_policies.model import (
    ScrapeJob,
    federation_jobs,
    has_credential,
    scrape_config_secret,
    scrape_jobs,
    seconds,
    servers,
)
from fleet_policies.policy import ResourcePolicy, StackPolicy, Violation
from fleet_policies.resources import Resource, objects
from fleet_policies.tree import Node


def _honor_labels(resource: Resource, _: Node) -> Iterator[Violation]:
    for job in federation_jobs(resource):
        honored = job / "honor_labels"
        if not honored.is_on and not honored.is_unknown:
            key = job.key("honor_labels")
            yield Violation(job.where, f"scrapes /federate without {key}; set `{key}: true` on the job")
    for server in servers(resource):
        override = server.spec / "overrideHonorLabels"
        if override.is_on:
            what = "turns honor_labels off in every job that the operator makes; remove it or set it to `false`"
            yield Violation(override.where, what)


honor_labels = ResourcePolicy(
    id="honor-labels",
    description="A parent keeps the labels of the series that it federates.",
    severity=Severity.HIGH,
    why=(
        "Without `honor_labels` the labels of every federated series are renamed to `exported_*`, and all children "
        "look like the parent's own target. `overrideHonorLabels` does the same to every job that the operator makes."
    ),
    remedy="metrics_path: /federate\nhonor_labels: true          # honorLabels in a ScrapeConfig or a ServiceMonitor",
    judge=_honor_labels,
)


def _federation_auth(resource: Resource, _: Node) -> Iterator[Violation]:
    for job in federation_jobs(resource):
        if not has_credential(job.node):
            key = job.key("basic_auth")
            what = f"scrapes /federate without a credential; give the job `{key}` or a client certificate"
            yield Violation(job.where, what)


federation_auth = ResourcePolicy(
    id="federation-auth",
    description="A parent says who it is to the children that it federates.",
    severity=Severity.HIGH,
    why="Whoever may ask /federate without a credential reads everything that the child knows.",
    remedy=(
        "basic_auth:\n"
        "  username: eu\n"
        "  password_file: /etc/prometheus/secrets/federation-credentials/eu-1\n"
        "# or a client certificate: tls_config: {cert_file: …, key_file: …}"
    ),
    judge=_federation_auth,
)


def _staleness(resource: Resource, _: Node) -> Iterator[Violation]:
    for job in federation_jobs(resource):
        tracked = job / "track_timestamps_staleness"
        if not tracked.is_on and not tracked.is_unknown:
            key = job.key("track_timestamps_staleness")
            what = f"a series that ends below lives on for five minutes above; set `{key}: true` on the job"
            yield Violation(job.where, what)


staleness = ResourcePolicy(
    id="staleness",
    description="A series that ends in a child ends in its parent.",
    severity=Severity.MEDIUM,
    why=(
        "`/federate` sends timestamps along, and Prometheus marks no series with timestamps as stale: what vanished "
        "below goes on for five minutes above."
    ),
    remedy="track_timestamps_staleness: true     # trackTimestampsStaleness in the operator's objects",
    judge=_staleness,
)


def _limits(resource: Resource, _: Node) -> Iterator[Violation]:
    for job in federation_jobs(resource):
        for name, example in (("sample_limit", "4000"), ("body_size_limit", "2MB")):
            limit = job / name
            if not limit.is_unknown and (not limit.is_given or limit.number == 0):
                key = job.key(name)
                yield Violation(
                    job.where, f"a child may send any amount; set `{key}: {example}` or what it should send"
                )


limits = ResourcePolicy(
    id="limits",
    description="A child cannot send its parent any number of samples or bytes.",
    severity=Severity.MEDIUM,
    why="One label too many in one child would otherwise take down the parent, and with it the view of all others.",
    remedy="sample_limit: 4000\nbody_size_limit: 2MB",
    judge=_limits,
)

_RAW = [
    "apiserver_request_duration_seconds_bucket",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "etcd_request_duration_seconds_bucket",
    "kube_pod_container_status_restarts_total",
    "kube_pod_status_phase",
    "node_cpu_seconds_total",
]


def _match_scope(resource: Resource, settings: Node) -> Iterator[Violation]:
    forbidden = (settings / "forbidden").texts
    for job in federation_jobs(resource):
        if not job.matches and not (job / "params").is_unknown:
            yield Violation(job.where, "asks /federate for nothing; name what is aggregated in `params.match[]`")
        for match in job.matches:
            if (text := match.text) is not None and (wrong := _too_wide(text, forbidden)) is not None:
                yield Violation(match.where, wrong)


def _too_wide(match: str, forbidden: list[str]) -> str | None:
    remedy = 'match what is aggregated, as in `{__name__=~"cluster:.*"}`'
    try:
        expr = promql_parser.parse(match)
    except ValueError:
        # What Prometheus refuses as matching everything does not parse either.
        return f"is no selector that names metrics; {remedy}"
    if not isinstance(expr, VectorSelector):
        return f"is no selector that names metrics; {remedy}"
    equal = [expr.name] if expr.name is not None else []
    equal += [each.value for each in expr.matchers.matchers if each.name == "__name__" and each.op == MatchOp.Equal]
    patterns = [each.value for each in expr.matchers.matchers if each.name == "__name__" and each.op == MatchOp.Re]
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except re.error:
        return f"has a regular expression that cannot be judged; {remedy}"
    if not equal and (not compiled or all(each.fullmatch(_ANY) for each in compiled)):
        return f"matches metrics of any name; {remedy}"
    for name in forbidden:
        if all(name == each for each in equal) and all(each.fullmatch(name) for each in compiled):
            return f"federates {name}, which has a series for each container, node or bucket; {remedy}"
    return None


_ANY = "zz_some_name_that_nobody_asked_for"


match_scope = ResourcePolicy(
    id="match-scope",
    description="A parent federates what is aggregated, never everything.",
    severity=Severity.HIGH,
    why="Raw series cost the parent what they cost all its children together, and /federate is slow with many.",
    remedy="params:\n  match[]:\n    - '{__name__=~\"cluster:.*\"}'",
    settings={
        "forbidden": {
            "type": "array",
            "items": {"type": "string"},
            "default": _RAW,
            "description": "Names of metrics that no match may select.",
        }
    },
    judge=_match_scope,
)


def _intervals(resource: Resource, settings: Node) -> Iterator[Violation]:
    shortest = (settings / "shortest").text or ""
    for job in scrape_jobs(resource):
        interval, timeout = job / "scrape_interval", job / "scrape_timeout"
        every = seconds(interval.text or "")
        if job.is_federation:
            yield from _pace(job, every, shortest)
        if every is not None and timeout.is_given and (seconds(timeout.text or "") or 0) > every:
            key = job.key("scrape_timeout")
            yield Violation(timeout.where, f"is longer than the interval; lower `{key}` or raise the interval")


def _pace(job: ScrapeJob, every: float | None, shortest: str) -> Iterator[Violation]:
    interval, key = job / "scrape_interval", job.key("scrape_interval")
    if every is None:
        if not interval.is_unknown:
            what = f"federates at whatever interval everything has; set `{key}: {shortest}` or more on the job"
            yield Violation(job.where, what)
    elif every < (seconds(shortest) or 0):
        yield Violation(interval.where, f"federates more often than every {shortest}; set `{key}: {shortest}` or more")


intervals = ResourcePolicy(
    id="intervals",
    description="A parent federates no more often than aggregates change, and gives up before it asks again.",
    severity=Severity.MEDIUM,
    why=(
        "What is asked more often than it is recorded comes twice. Prometheus refuses a configuration whose timeout is "
        "longer than its interval, and goes on with the old one."
    ),
    remedy="scrape_interval: 60s\nscrape_timeout: 48s",
    settings={
        "shortest": {
            "type": "string",
            "default": "60s",
            "description": "The shortest interval of a federation job.",
        }
    },
    judge=_intervals,
)


def _readable_jobs(resources: Sequence[Resource], settings: Node) -> Iterator[Violation]:
    elsewhere = (settings / "elsewhere").texts
    secrets = {
        (resource.provider, each.body.at("metadata.name").value): each
        for resource in resources
        if resource.type.endswith(":Secret")
        for each in objects(resource)
    }
    for server in (server for resource in resources for server in servers(resource)):
        name = scrape_config_secret(server)
        if name is None or name in elsewhere:
            continue
        secret = secrets.get((server.resource.provider, name))
        if secret is None:
            what = "takes jobs from a Secret that no policy sees; make it in the program, or name it in `elsewhere`"
            yield Violation(server.resource.name, what, server.resource.urn)
        else:
            for held in (secret.body / "data", secret.body / "stringData"):
                # Asked for, so that what is not known is said not to be judged.
                if any(text.is_unknown for text in held.values()):
                    break


readable_jobs = StackPolicy(
    id="readable-jobs",
    description="What a Prometheus scrapes can be read by the policies.",
    severity=Severity.LOW,
    why=(
        "Scrape jobs in a Secret of somebody else's are seen by none of the policies above, and those in a Secret that "
        "is not known yet only in `pulumi up`."
    ),
    remedy="additionalScrapeConfigs: {name: more-jobs, key: jobs.yaml}     # a Secret of the same program",
    settings={
        "elsewhere": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Secrets that are somebody else's.",
        }
    },
    judge=_readable_jobs,
)

POLICIES = (honor_labels, federation_auth, staleness, limits, match_scope, intervals, readable_jobs)
