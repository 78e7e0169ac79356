"""What the compiler refuses: each with the path of the field, what is wrong, and YAML that would be right."""

import copy
from typing import Any

import pytest
import yaml

from fleet.compiler import compile_page
from fleet.errors import FleetError, Problem, yaml_at
from fleet.page import read_page
from tests.local.certificates import Authority

Page = dict[str, Any]

FLEET: Page = {
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {"tier": "regional", "region": "eu", "context": "eu"},
        "us": {"tier": "regional", "region": "us", "context": "us"},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
        "us-1": {"tier": "leaf", "region": "us", "context": "us-1"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    }
}


def problems(page: Page) -> tuple[Problem, ...]:
    try:
        compile_page(read_page(page, {}))
    except FleetError as error:
        return error.problems
    return ()


def merged(below: Page, above: Page) -> Page:
    """`above` on `below`; None takes a key away."""
    result = {key: value for key, value in below.items() if above.get(key, "") is not None}
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            result[key] = merged(below[key], value)
        elif value is not None:
            result[key] = value
    return result


def clusters(**changes: Page | None) -> Page:
    return {"clusters": {name.replace("_", "-"): change for name, change in changes.items()}}


def extra(match: str, of: str = "leaf") -> Page:
    return {"federate": [{"match": match, "reason": "it is asked for", "series": 10, "of": of}]}


ARCHIVE: Page = {
    "kind": "generic",
    "url": "https://archive.example.com/push",
    "senders": "hub",
    "auth": {"bearer": {"secret": "archive"}},
}


TRACKER: Page = {**ARCHIVE, "kind": "mimir", "url": "https://mimir.example.com/api/v1/push", "tenant": "fleet"}


READ: Page = {"url": "https://archive.example.com/prometheus", "auth": {"bearer": {"secret": "reader"}}}


def read(**changes: object) -> Page:
    """A store that is read, in a fleet with a Grafana."""
    return {"grafana": True, "destinations": {"archive": {**ARCHIVE, "read": {**READ, **changes}}}}


def pair(*replicas: Page, **gateway: object) -> Page:
    """A hub of two, to which shop-1 writes."""
    addresses = {"replicas": [*replicas]} if replicas else {}
    return clusters(hub={"replicas": 2, "gateway": {**gateway, **addresses}})


def spec(**values: object) -> Page:
    return {"values": {"prometheus": {"prometheusSpec": values}}}


_NARROW = (
    "must be 4h40m at least: hub is sent what is up to 4h old, and a sample that it refuses costs others of its request"
)
_NO_SIDECAR = "is for a Thanos sidecar, and hub has none: thanos.sidecars of the page says which leaves do"


ROUTE: Page = {
    "type": "HTTPRoute",
    "host": "eu-1.example.com",
    "parentRef": {"name": "public", "namespace": "gateways"},
}

REFUSALS: dict[str, tuple[Page, str, str]] = {
    "one place twice": (
        clusters(us_1={"context": "eu-1"}),
        "clusters.us-1.context",
        "eu-1 has the same kubeconfig, context and namespace: it is the same place",
    ),
    "a region that is none": (
        {"regions": ["eu", "us"], **clusters(eu_1={"region": "eus"})},
        "clusters.eu-1.region",
        "region 'eus' is none of this fleet's; did you mean us?",
    ),
    "a parent that is none": (
        clusters(eu_1={"parent": "hubb"}),
        "clusters.eu-1.parent",
        "there is no cluster 'hubb'; did you mean hub?",
    ),
    "a leaf as parent": (
        clusters(eu_1={"parent": "us-1"}),
        "clusters.eu-1.parent",
        "us-1 has tier leaf and federates nobody",
    ),
    "a parent of another region": (
        clusters(eu_1={"parent": "us"}),
        "clusters.eu-1.parent",
        "us is the aggregator of region 'us', and this leaf lies in 'eu'",
    ),
    "two parents": (
        clusters(eu_1={"parent": ["eu", "hub"]}),
        "clusters.eu-1.parent",
        "2 parents federate it; where that is on purpose, say so with severalParents: true",
    ),
    "the same parent twice": (
        clusters(eu_1={"parent": ["eu", "eu"]}),
        "clusters.eu-1.parent",
        "names a parent twice",
    ),
    "several parents that are one": (
        clusters(eu_1={"parent": "eu", "severalParents": True}),
        "clusters.eu-1.severalParents",
        "has no effect: there is no second parent",
    ),
    "an orphan": (clusters(eu_1={"parent": []}), "clusters.eu-1.parent", "an orphan: nobody federates it"),
    "a region without a leaf": (
        clusters(eu_1={"up": "remote_write"}),
        "clusters.eu.region",
        "an orphan: no leaf of region 'eu' is federated by eu",
    ),
    "a cycle of one": (
        clusters(eu={"parent": "eu"}),
        "clusters.eu.parent",
        "a cycle: a cluster cannot federate itself",
    ),
    "a cycle of two": (
        clusters(eu={"parent": "us"}, us={"parent": "eu"}),
        "clusters.eu.parent",
        "a cycle: eu → us → eu",
    ),
    "a region below a region": (
        clusters(eu={"parent": "us"}),
        "clusters.eu.parent",
        "us is regional as well: regions go up to the global cluster",
    ),
    "an edge that is federated": (
        clusters(shop_1={"parent": "hub"}),
        "clusters.shop-1.parent",
        (
            "has no meaning for tier edge, only for leaf or regional: an edge writes upward, and nothing is above "
            "the global cluster"
        ),
    ),
    "a parent for who writes alone": (
        clusters(eu_1={"up": "remote_write", "parent": "hub"}),
        "clusters.eu-1.parent",
        "has no effect: this leaf goes up by remote write alone",
    ),
    "federation too often": (
        {"intervals": {"federation": {"regional": "45s"}}},
        "intervals.federation.regional",
        "is below intervals.federation.floor of 1m",
    ),
    "federation as often as scrapes": (
        {"intervals": {"scrape": "1m"}},
        "intervals.federation.regional",
        "is not longer than the child's own intervals.scrape of 1m",
    ),
    "federation as often as rules": (
        {"intervals": {"rules": "1m"}},
        "intervals.federation.regional",
        "is not longer than the child's own intervals.rules of 1m",
    ),
    "the top more often than its regions": (
        {"intervals": {"federation": {"regional": "5m"}}},
        "intervals.federation.global",
        "is shorter than intervals.federation.regional of 5m",
    ),
    "a scrape that outlasts its interval": (
        {"intervals": {"timeout": "31s"}},
        "intervals.timeout",
        "is above intervals.scrape of 30s",
    ),
    "a federation that outlasts its interval": (
        {"intervals": {"federation": {"timeout": "61s"}}},
        "intervals.federation.timeout",
        "is above intervals.federation.regional of 1m",
    ),
    "a match that does not parse": (
        extra('{__name__="kube_pod_info"'),
        "federate.0.match",
        "does not parse: unexpected end of input inside braces",
    ),
    "an expression": (
        extra("sum(kube_pod_info)"),
        "federate.0.match",
        "is no plain selector: /federate evaluates nothing",
    ),
    "everything": (extra('{__name__=~".+"}'), "federate.0.match", "matches everything"),
    "everything of a job": (extra('{job="kubelet"}'), "federate.0.match", "matches everything"),
    "everything but one": (extra('{__name__!="x"}'), "federate.0.match", "matches everything"),
    "up": (
        extra("up"),
        "federate.0.match",
        "would federate up, which above would say that the parent's own targets are down",
    ),
    "up among others": (
        extra('{__name__=~"up|kube_pod_info"}'),
        "federate.0.match",
        "would federate up, which above would say that the parent's own targets are down",
    ),
    "a name that nothing produces": (
        extra('{__name__="kube_pod_inof"}'),
        "federate.0.match",
        "no rule and no allowed metric below produces 'kube_pod_inof'; did you mean kube_pod_info?",
    ),
    "one such name of several": (
        extra('{__name__=~"kube_pod_info|go_goroutines"}'),
        "federate.0.match",
        "no rule and no allowed metric below produces 'go_goroutines'; keep: [go_goroutines] allows it",
    ),
    "an open pattern": (
        extra('{__name__=~"kube_.*"}'),
        "federate.0.match",
        "'kube_.*' is open to metrics that nobody has allowed; name each of them",
    ),
    "a rule that is none": (
        extra('{__name__=~"cluster:nothing.*"}'),
        "federate.0.match",
        "no rule below produces anything like 'cluster:nothing.*'",
    ),
    "a raw metric that no leaf hands to its region": (
        extra("kube_pod_info", of="regional"),
        "federate.0.match",
        "no rule and no allowed metric below produces 'kube_pod_info'; a match of leaf must bring it first",
    ),
    "up as a metric that is kept": (
        {"keep": ["up"]},
        "keep.0",
        "up must not travel under its own name: above, it would say that the parent's own targets are down",
    ),
    "a recorded series that is kept": (
        {"keep": ["cluster:namespace_cpu:sum"]},
        "keep.0",
        "a recorded series goes up by itself; this is for raw metrics",
    ),
    "retention that is none": (
        {"tiers": {"leaf": {"retention": "forever"}}},
        "tiers.leaf.retention",
        "'forever' is not a duration such as 30s, 1m30s or 1h",
    ),
    "no retention": (
        clusters(eu_1={"retention": "0d"}),
        "clusters.eu-1.retention",
        "a duration must be longer than 0s",
    ),
    "storage that is none": (
        {"tiers": {"global": {"storage": {"size": "50 GB"}}}},
        "tiers.global.storage.size",
        "'50 GB' is not an amount such as 500m, 2 or 50Gi",
    ),
    "no storage": (
        clusters(eu_1={"storage": {"size": "0Gi"}}),
        "clusters.eu-1.storage.size",
        "an amount must be greater than 0",
    ),
    "a reserved label": (
        clusters(eu_1={"labels": {"cluster": "other"}}),
        "clusters.eu-1.labels.cluster",
        "label cluster is reserved: the fleet decides it",
    ),
    "a reserved label in the values": (
        spec(externalLabels={"region": "moon"}),
        "values.prometheus.prometheusSpec.externalLabels.region",
        "is not the page's to set: label region is reserved, the fleet decides it",
    ),
    "a reserved label of every object": (
        {"values": {"commonLabels": {"app.kubernetes.io/part-of": "mine"}}},
        "values.commonLabels.app.kubernetes.io/part-of",
        "is not the page's to set: label app.kubernetes.io/part-of is reserved, every object of the fleet carries it",
    ),
    "a value that the chart does not have": (
        spec(retension="1d"),
        "values.prometheus.prometheusSpec.retension",
        "chart 88.5.3 has no value 'retension' at prometheus.prometheusSpec; did you mean retention?",
    ),
    "a value of one cluster": (
        clusters(eu_1={"values": {"promtheus": {"enabled": True}}}),
        "clusters.eu-1.values.promtheus.enabled",
        "chart 88.5.3 has no value 'promtheus' at its top; did you mean prometheus?",
    ),
    "a section where a value belongs": (
        {"values": {"prometheus": {"networkPolicy": "1h"}}},
        "values.prometheus.networkPolicy",
        "this is a section of chart 88.5.3, with enabled, flavor, namespace and so on",
    ),
    "a text for all that is laid over": (
        spec(additionalConfig="1h"),
        "values.prometheus.prometheusSpec.additionalConfig",
        "is not the page's to set: nothing would be left of what the fleet decides there",
    ),
    "a text where late samples are taken": (
        spec(additionalConfig={"tsdb": "1h"}),
        "values.prometheus.prometheusSpec.additionalConfig.tsdb",
        "is not the page's to set: nothing would be left of what the fleet decides there",
    ),
    "a store that nobody reads": (
        {**read(), "grafana": False},
        "grafana",
        "is off, and destinations.archive.read is for the Grafana of the fleet",
    ),
    "a reader's password in the config": (
        read(auth={"basic": {"username": "me", "config": "archive-password"}}),
        "destinations.archive.read.auth.basic.config",
        "Grafana takes it from a Secret; secret names that",
    ),
    "a reader with two credentials": (
        read(auth={"basic": {"secret": "reader"}, "bearer": {"secret": "reader"}}),
        "destinations.archive.read.auth.bearer",
        "basic and bearer exclude each other: a store is shown one of them",
    ),
    "a reader without a credential": (
        read(auth=None),
        "destinations.archive.read.auth",
        "it is not in the global cluster, and says nothing of who may read there",
    ),
    "a reader with an empty credential": (
        read(auth={}),
        "destinations.archive.read.auth.basic",
        "there is no credential here; basic or bearer says it",
    ),
    "a reader's password in clear": (
        read(url="http://archive.storage.svc/prometheus"),
        "destinations.archive.read.url",
        "the credential would travel in clear",
    ),
    "an authority for no certificate": (
        read(url="http://archive.storage.svc/prometheus", auth=None, ca=Authority.new("authority 1 of test").pem),
        "destinations.archive.read.ca",
        "has no effect: the URL is http://",
    ),
    "where queries go instead of where they begin": (
        read(url="https://archive.example.com/prometheus/api/v1/query"),
        "destinations.archive.read.url",
        "Grafana puts /api/v1 behind it itself",
    ),
    "data sources that would take another's place": (
        {**read(), "values": {"grafana": {"additionalDataSources": []}}},
        "values.grafana.additionalDataSources",
        "it would take the place of destinations.archive.read, which makes one as well",
    ),
    "a window that is no duration": (
        spec(tsdb={"outOfOrderTimeWindow": "an hour"}),
        "values.prometheus.prometheusSpec.tsdb.outOfOrderTimeWindow",
        "'an hour' is not a duration such as 30m or 6h, or 0s",
    ),
    "a window that is shorter than what edges send": (
        spec(tsdb={"outOfOrderTimeWindow": "0s"}),
        "values.prometheus.prometheusSpec.tsdb.outOfOrderTimeWindow",
        _NARROW,
    ),
    "a window of the hub's own that is too short": (
        {
            **spec(tsdb={"outOfOrderTimeWindow": "6h"}),
            **clusters(hub={"values": spec(tsdb={"outOfOrderTimeWindow": "4h"})["values"]}),
        },
        "clusters.hub.values.prometheus.prometheusSpec.tsdb.outOfOrderTimeWindow",
        _NARROW,
    ),
    "a short window that goes before a long one": (
        spec(tsdb={"outOfOrderTimeWindow": "6h"}, additionalConfig={"tsdb": {"outOfOrderTimeWindow": "30m"}}),
        "values.prometheus.prometheusSpec.additionalConfig.tsdb.outOfOrderTimeWindow",
        _NARROW,
    ),
    "a database that is emptied": (
        spec(tsdb=None),
        "values.prometheus.prometheusSpec.tsdb",
        "is not the page's to set: nothing would be left of what the fleet decides there",
    ),
    "a value where a section belongs": (
        spec(paused={"really": True}),
        "values.prometheus.prometheusSpec.paused.really",
        "chart 88.5.3 has no value below prometheus.prometheusSpec.paused, which is one itself",
    ),
    "a value that is decided": (
        spec(containers=[]),
        "values.prometheus.prometheusSpec.containers",
        "is not the page's to set: the gateway stands there",
    ),
    "a token for the gateway": (
        spec(automountServiceAccountToken=True),
        "values.prometheus.prometheusSpec.automountServiceAccountToken",
        "is not the page's to set: the gateway beside Prometheus would hold its token",
    ),
    "pod security that its release would not pass": (
        clusters(eu_1={"podSecurity": "baseline"}),
        "clusters.eu-1.podSecurity",
        "its release needs privileged, and baseline would refuse its pods",
    ),
    "pod security that is there anyway": (
        clusters(eu_1={"podSecurity": "privileged"}),
        "clusters.eu-1.podSecurity",
        "has no effect: its release already needs privileged",
    ),
    "an edge over its budget": (
        {"tiers": {"leaf": {"budget": 100}}},
        "tiers.leaf.budget",
        "eu-1 → eu is expected to carry 2913 series, and its budget is 100",
    ),
    "a cluster over its budget": (
        clusters(eu_1={"expect": {"namespaces": 1000}}),
        "tiers.leaf.budget",
        "eu-1 → eu is expected to carry 95063 series, and its budget is 4000",
    ),
    "a discovered child over its budget": (
        clusters(hub={"discover": {"team-a": {"namespace": "shop", "budget": 100}}}),
        "clusters.hub.discover.team-a.budget",
        "team-a → hub is expected to carry 2913 series, and its budget is 100",
    ),
    "a discovered child over the budget of leaves": (
        clusters(hub={"discover": {"team-a": {"namespace": "shop", "expect": {"namespaces": 1000}}}}),
        "tiers.leaf.budget",
        "team-a → hub is expected to carry 95063 series, and its budget is 4000",
    ),
    "a discovered child with the name of a cluster": (
        clusters(hub={"discover": {"eu-1": {"namespace": "shop"}}}),
        "clusters.hub.discover.eu-1",
        "a cluster of the fleet has this name already, and each name is one cluster",
    ),
    "a name that two discover": (
        clusters(hub={"discover": {"team-a": {"namespace": "a"}}}, eu={"discover": {"team-a": {"namespace": "a"}}}),
        "clusters.eu.discover.team-a",
        "hub discovers a cluster of this name already",
    ),
    "a leaf that discovers": (
        clusters(eu_1={"discover": {"team-a": {"namespace": "shop"}}}),
        "clusters.eu-1.discover",
        "has no meaning for tier leaf, only for regional or global: the others federate nobody",
    ),
    "discovery of nobody": (
        clusters(hub={"discover": {}}),
        "clusters.hub.discover",
        "there is nothing in it",
    ),
    "discovery of names alone": (
        clusters(hub={"discover": ["team-a"]}),
        "clusters.hub.discover",
        "this is a list, where keys with values belong",
    ),
    "discovery anywhere": (
        clusters(hub={"discover": {"team-a": {"port": "gateway"}}}),
        "clusters.hub.discover.team-a.namespace",
        "is missing",
    ),
    "a port that no Service has": (
        clusters(hub={"discover": {"team-a": {"namespace": "shop", "port": "http_web"}}}),
        "clusters.hub.discover.team-a.port",
        "'http_web' is not the name of a Service's port: lower-case letters, digits and - inside, at most 15",
    ),
    "a label by which a cluster is discovered": (
        {"values": {"prometheus": {"service": {"labels": {"cluster": "other"}}}}},
        "values.prometheus.service.labels.cluster",
        "is not the page's to set: a parent that discovers finds the cluster by it",
    ),
    "a node port without a node": (
        clusters(eu_1={"gateway": {"type": "NodePort"}}),
        "clusters.eu-1.gateway.host",
        "type NodePort needs an address of one of the cluster's nodes",
    ),
    "a node port that is none": (
        clusters(eu_1={"gateway": {"type": "NodePort", "host": "h", "port": 80}}),
        "clusters.eu-1.gateway.port",
        "type NodePort needs a port from 30000 to 32767, not 80",
    ),
    "a host without a name": (
        clusters(eu_1={"gateway": {"type": "Host"}}),
        "clusters.eu-1.gateway.host",
        "type Host needs the name that others dial",
    ),
    "one address for two": (
        clusters(
            eu_1={"gateway": {"type": "NodePort", "host": "192.0.2.1"}},
            us_1={"gateway": {"type": "NodePort", "host": "192.0.2.1"}},
        ),
        "clusters.us-1.gateway.host",
        "eu-1 is dialled at 192.0.2.1:30443 as well: one would be taken for the other",
    ),
    "a URL where a host belongs": (
        clusters(eu_1={"gateway": {"type": "Host", "host": "https://eu-1.example.com"}}),
        "clusters.eu-1.gateway.host",
        "'https://eu-1.example.com' is not a host alone, without scheme, port or path",
    ),
    "a label value that would be expanded": (
        clusters(eu_1={"region": "$eu"}),
        "clusters.eu-1.region",
        "'$eu' is not a label value: letters, digits and ._- inside, at most 63",
    ),
    "a route to nowhere": (
        clusters(eu_1={"gateway": {"type": "HTTPRoute", "host": "h"}}),
        "clusters.eu-1.gateway.parentRef",
        "type HTTPRoute needs the Gateway that it attaches to",
    ),
    "a gateway that passes what it ends": (
        {"gateway": {"passthrough": True}},
        "gateway.passthrough",
        "has no meaning for type LoadBalancer: callers reach the gateway itself",
    ),
    "a route that passes TLS through": (
        clusters(eu_1={"gateway": {**ROUTE, "passthrough": True}}),
        "clusters.eu-1.gateway.passthrough",
        "has no meaning for type HTTPRoute: the cluster's Gateway ends TLS",
    ),
    "a client certificate that the gateway never sees": (
        {"keys": {"auth": "both"}, **clusters(eu_1={"gateway": ROUTE})},
        "keys.edges.eu-federates-eu-1.auth",
        "TLS ends before eu-1's gateway, which never sees the certificate of eu",
    ),
    "a key of no edge": (
        {"keys": {"edges": {"hub-federate-eu": {"generation": 2}}}},
        "keys.edges.hub-federate-eu",
        "the fleet has no edge of this name; did you mean hub-federates-eu?",
    ),
    "a certificate for what is discovered": (
        {
            **clusters(eu={"discover": {"team-a": {"namespace": "shop"}}}),
            "keys": {"edges": {"eu-discovers": {"auth": "mtls"}}},
        },
        "keys.edges.eu-discovers.auth",
        "has no meaning here: what is discovered is shown a password, and nothing else",
    ),
    "9090 by a Service for each replica": (
        {"values": {"prometheus": {"servicePerReplica": {"enabled": True}}}},
        "values.prometheus.servicePerReplica.enabled",
        "is not the page's to set: it publishes 9090, which asks for no password; the gateway is the way in",
    ),
    "a decided value by another way": (
        spec(additionalConfig={"containers": [{"name": "gateway"}]}),
        "values.prometheus.prometheusSpec.additionalConfig.containers",
        "is not the page's to set: the gateway stands there",
    ),
    "a Thanos sidecar of one's own": (
        spec(thanos={"image": "thanos", "objectStorageConfig": {"existingSecret": {"name": "x", "key": "y"}}}),
        "values.prometheus.prometheusSpec.thanos",
        _NO_SIDECAR,
    ),
    "a Thanos sidecar of one's own by another way": (
        spec(additionalConfig={"thanos": {"listenLocal": False}}),
        "values.prometheus.prometheusSpec.additionalConfig.thanos",
        _NO_SIDECAR,
    ),
    "resources of a sidecar that not every cluster has": (
        {
            **spec(thanos={"resources": {}}),
            "thanos": {"objectStorage": {"config": "bucket"}, "senders": "edge", "sidecars": "leaf"},
        },
        "values.prometheus.prometheusSpec.thanos",
        _NO_SIDECAR,
    ),
    "labels that are replaced by another way": (
        spec(additionalConfig={"externalLabels": {"team": "shop"}}),
        "values.prometheus.prometheusSpec.additionalConfig.externalLabels.team",
        "is not the page's to set: nothing would be left of what the fleet decides there",
    ),
    "files for monitors": (
        spec(arbitraryFSAccessThroughSMs={"deny": False}),
        "values.prometheus.prometheusSpec.arbitraryFSAccessThroughSMs.deny",
        "is not the page's to set: whoever may make a ServiceMonitor could have it send the fleet's keys",
    ),
    "a reader of no cluster": (
        {"readers": {"grafana": {"clusters": "hubb"}}},
        "readers.grafana.clusters",
        "there is no cluster 'hubb'; did you mean hub?",
    ),
    "a reader of an edge": (
        {"readers": {"grafana": {"clusters": ["shop-1"]}}},
        "readers.grafana.clusters",
        "shop-1 is an edge, which answers no query",
    ),
    "a reader that is a cluster": (
        {"readers": {"eu": {"clusters": "hub"}}},
        "readers.eu",
        "a cluster of the fleet has this name already: a gateway would confuse them",
    ),
    "a password beside a generation": (
        {"keys": {"edges": {"hub-federates-eu": {"password": {"config": "mine"}, "generation": 2}}}},
        "keys.edges.hub-federates-eu.generation",
        "has no meaning beside password: whoever brings a password renews it",
    ),
    "a password that opens nothing": (
        {"keys": {"edges": {"hub-federates-eu": {"password": {"config": "mine"}, "auth": "mtls"}}}},
        "keys.edges.hub-federates-eu.password",
        "has no effect: a certificate alone opens this edge",
    ),
    "a password of a reader beside a generation": (
        {"readers": {"grafana": {"clusters": "hub", "password": {"config": "mine"}, "generation": 2}}},
        "readers.grafana.generation",
        "has no meaning beside password: whoever brings a password renews it",
    ),
    "a password from nowhere": (
        {"keys": {"edges": {"hub-federates-eu": {"password": {}}}}},
        "keys.edges.hub-federates-eu.password.secret",
        "is missing, or config instead of it",
    ),
    "a password from two places": (
        {"keys": {"edges": {"hub-federates-eu": {"password": {"config": "mine", "secret": "mine"}}}}},
        "keys.edges.hub-federates-eu.password.secret",
        "has no meaning beside config: a password comes from one place",
    ),
    "a key of no Secret": (
        {"keys": {"edges": {"hub-federates-eu": {"password": {"config": "mine", "key": "password"}}}}},
        "keys.edges.hub-federates-eu.password.key",
        "has no meaning beside config: a password comes from one place",
    ),
    "a Secret that lies nowhere": (
        {"keys": {"edges": {"hub-federates-eu": {"password": {"secret": "mine"}}}}},
        "keys.edges.hub-federates-eu.password.namespace",
        "is missing: a Secret lies in one",
    ),
    "one password for two edges": (
        {
            "keys": {
                "edges": {each: {"password": {"config": "mine"}} for each in ("hub-federates-eu", "hub-federates-us")}
            }
        },
        "keys.edges.hub-federates-us.password",
        "hub-federates-eu and hub-federates-us would have one password: who steals one opens both",
    ),
    "one password of a reader for two clusters": (
        {"readers": {"grafana": {"clusters": ["hub", "eu"], "password": {"config": "mine"}}}},
        "readers.grafana.password",
        "grafana-reads-hub and grafana-reads-eu would have one password: who steals one opens both",
    ),
    "one Secret for two keys": (
        {
            "readers": {"grafana": {"clusters": "eu", "password": {"secret": "mine", "namespace": "apps"}}},
            "keys": {"edges": {"hub-federates-eu": {"password": {"secret": "mine", "namespace": "apps"}}}},
        },
        "readers.grafana.password",
        "hub-federates-eu and grafana-reads-eu would have one password: who steals one opens both",
    ),
    "a generation before the first": (
        {"keys": {"generation": 0}},
        "keys.generation",
        "input should be greater than or equal to 1",
    ),
    "a certificate without an issuer": (
        {"tls": {"mode": "cert-manager"}},
        "tls.issuer",
        "mode cert-manager needs it",
    ),
    "a certificate without a Secret": (
        clusters(eu_1={"tls": {"mode": "existing"}}),
        "clusters.eu-1.tls.secret",
        "mode existing needs it",
    ),
    "an issuer that nobody asks": (
        {"tls": {"issuer": {"name": "internal"}}},
        "tls.issuer",
        "has no meaning for mode generated",
    ),
    "an authority that is no certificate": (
        {"tls": {"mode": "existing", "secret": "tls", "ca": "internal-ca"}},
        "tls.ca",
        "these are not certificates in PEM form, which begin with -----BEGIN CERTIFICATE-----",
    ),
    "an address without a name for its certificate": (
        {"tls": {"mode": "existing", "secret": "tls"}},
        "clusters.hub.gateway.host",
        "a certificate of mode existing is for the name that others dial",
    ),
    "an authority that nobody trusts": (
        {"authority": {"trust": [1], "issue": 2}},
        "authority.issue",
        "nobody trusts authority 2",
    ),
    "an authority twice": (
        {"authority": {"trust": [1, 1]}},
        "authority.trust",
        "names an authority twice",
    ),
    "certificates that are always renewed": (
        {"authority": {"validFor": "30d"}},
        "authority.renewBefore",
        "must be at least an hour shorter than validFor, or each run would renew everything",
    ),
    "certificates that end as they begin": (
        {"authority": {"validFor": "30m", "renewBefore": "10m"}},
        "authority.validFor",
        "a certificate lives from three hours to the ten years of its authority",
    ),
    "two edges of one name": (
        {
            "clusters": {
                "hub": {"tier": "global", "context": "hub"},
                "a": {"tier": "regional", "region": "a", "context": "a"},
                "b-federates-c": {"tier": "leaf", "region": "a", "context": "1"},
                "a-federates-b": {"tier": "regional", "region": "b", "context": "b"},
                "c": {"tier": "leaf", "region": "b", "context": "2"},
            }
        },
        "clusters.c",
        "a-federates-b and c make the same name of an edge as a and b-federates-c: a-federates-b-federates-c",
    ),
    "a gateway that nobody calls": (
        clusters(eu_1={"up": "remote_write", "gateway": {"port": 80}}, eu=None),
        "clusters.eu-1.gateway",
        "nobody calls a leaf that goes up by remote write alone",
    ),
    "an edge with a gateway": (
        clusters(shop_1={"gateway": {}}),
        "clusters.shop-1.gateway",
        "has no meaning for tier edge, only for leaf or regional or global: an edge writes upward and is never called",
    ),
    "two receivers behind one address": (
        pair(type="NodePort", host="192.0.2.1"),
        "clusters.hub.gateway.replicas",
        "hub has 2 replicas, and who writes to it must reach each of them: say where",
    ),
    "two receivers behind one name": (
        pair(type="Host", host="hub.example.com"),
        "clusters.hub.gateway.replicas",
        "hub has 2 replicas, and who writes to it must reach each of them: say where",
    ),
    "three addresses of two receivers": (
        pair({"port": 31000}, {"port": 31001}, {"port": 31002}, type="NodePort", host="192.0.2.1"),
        "clusters.hub.gateway.replicas",
        "hub has 2 replicas, and this names 3",
    ),
    "an address of a replica that is none": (
        clusters(hub={"gateway": {"replicas": [{"host": "hub-0.example.com"}]}}),
        "clusters.hub.gateway.replicas",
        "has no meaning: nobody writes to several replicas of hub",
    ),
    "addresses of replicas that their Services will have": (
        pair({"port": 9444}, {"port": 9445}),
        "clusters.hub.gateway.replicas",
        "has no meaning without host: the Service of each replica has an address of its own",
    ),
    "a replica at the gateway's own address": (
        pair({"port": 30443}, {"port": 30444}, type="NodePort", host="192.0.2.1"),
        "clusters.hub.gateway.replicas.0",
        "hub is dialled at 192.0.2.1:30443 as well: one would be taken for the other",
    ),
    "a replica at a port that is none of a node's": (
        pair({"port": 9444}, {"port": 30444}, type="NodePort", host="192.0.2.1"),
        "clusters.hub.gateway.replicas.0",
        "type NodePort needs a port from 30000 to 32767, not 9444",
    ),
    "a replica's port behind a route": (
        pair(
            {"host": "hub-0.example.com", "port": 444},
            {"host": "hub-1.example.com"},
            **{**ROUTE, "host": "hub.example.com"},
        ),
        "clusters.hub.gateway.replicas.0",
        "has its port from its Gateway: a replica has a host of its own",
    ),
    "two senders to who keeps both": (
        {"destinations": {"archive": {**ARCHIVE, "senders": "eu-1"}}, **clusters(eu_1={"replicas": 2})},
        "clusters.eu-1.replicas",
        "each replica would write every sample to archive, and kind generic does not keep one of them",
    ),
    "two senders of several clusters to who takes one of each": (
        {"destinations": {"archive": {**TRACKER, "senders": "eu"}}, **clusters(eu={"replicas": 2})},
        "clusters.eu.replicas",
        "archive takes one replica of each cluster, by the label, and eu writes those of several",
    ),
    "two senders of one sample": (
        clusters(eu_1={"up": "both", "replicas": 2}),
        "clusters.eu-1.replicas",
        "each replica would write every sample to hub, and the second one is refused",
    ),
    "a sender that is none": (
        {"destinations": {"archive": {**ARCHIVE, "senders": ["hup"]}}},
        "destinations.archive.senders.0",
        "there is no cluster 'hup'; did you mean hub?",
    ),
    "a destination named after a cluster": (
        {"destinations": {"hub": {**ARCHIVE, "senders": ["eu"]}}},
        "destinations.hub",
        "a cluster has this name already, and both would name the same queue",
    ),
    "a destination that is no URL": (
        {"destinations": {"archive": {**ARCHIVE, "url": "x.example"}}},
        "destinations.archive.url",
        "not an http:// or https:// URL",
    ),
    "maintenance at a moment that is none": (
        clusters(eu_1={"maintenance": {"until": "tomorrow", "reason": "r"}}),
        "clusters.eu-1.maintenance.until",
        "tomorrow is not a time such as 2026-12-01T06:00:00Z",
    ),
    "maintenance of a number of seconds": (
        clusters(eu_1={"maintenance": {"until": 1796104800, "reason": "r"}}),
        "clusters.eu-1.maintenance.until",
        "1796104800 is not a time such as 2026-12-01T06:00:00Z",
    ),
    "maintenance until some hour somewhere": (
        clusters(eu_1={"maintenance": {"until": "2026-12-01T06:00:00", "reason": "r"}}),
        "clusters.eu-1.maintenance.until",
        "2026-12-01T06:00:00 has no timezone: with Z at its end it is in UTC",
    ),
    "maintenance for no reason": (
        clusters(eu_1={"maintenance": {"until": "2026-12-01T06:00:00Z"}}),
        "clusters.eu-1.maintenance.reason",
        "is missing",
    ),
    "maintenance of who calls the others": (
        clusters(hub={"maintenance": {"until": "2026-12-01T06:00:00Z", "reason": "r"}}),
        "clusters.hub.maintenance",
        (
            "has no meaning for tier global, only for leaf or regional or edge: the global cluster speaks of the "
            "others and of no own alert"
        ),
    ),
    "an alert after one scrape": (
        {"alerting": {"after": "2m"}},
        "alerting.after",
        "is not longer than intervals.federation.global of 2m: one scrape that fails would be an alert",
    ),
    "production that nobody watches from outside": (
        clusters(eu_1={"environment": "production"}),
        "alerting.deadMansSwitch",
        ("is missing, and eu-1 has environment production: were the global cluster gone, nobody would hear of it"),
    ),
    "self-monitoring switched off": (
        {"values": {"prometheusOperator": {"serviceMonitor": {"selfMonitor": False}}}},
        "values.prometheusOperator.serviceMonitor.selfMonitor",
        "is not the page's to set: alerts about the monitoring itself read what it says of itself",
    ),
    "a URL in place of its Secret": (
        {"alerting": {"webhook": "https://hooks.example.com/T0/B0"}},
        "alerting.webhook",
        "this is text, where keys with values belong",
    ),
    "a URL in place of a Secret's name": (
        {"alerting": {"webhook": {"secret": "https://hooks.example.com/T0/B0"}}},
        "alerting.webhook.secret",
        "this is not the name of a Secret: lower-case letters, digits and -",
    ),
    "a URL from nowhere": (
        {"alerting": {"webhook": {}}},
        "alerting.webhook.config",
        "is missing, or secret instead of it",
    ),
    "a URL from two places": (
        {"alerting": {"webhook": {"config": "hook", "secret": "hook"}}},
        "alerting.webhook.secret",
        "has no meaning beside config: a URL comes from one place",
    ),
    "a matcher that is none": (
        {"alerting": {"routes": [{"matchers": ["team: shop"]}]}},
        "alerting.routes.0.matchers.0",
        """'team: shop' is not a matcher as severity="critical" or team=~"shop|payments" is one""",
    ),
    "a matcher with a pattern that is none": (
        {"alerting": {"routes": [{"matchers": ['team=~"("']}]}},
        "alerting.routes.0.matchers.0",
        """'team=~"("' is not a matcher: its pattern is not one that Prometheus and Alertmanager read""",
    ),
    "a route that another one is before": (
        {"alerting": {"routes": [{"matchers": ['a="b"']}, {"matchers": ['a="b"'], "webhook": {"secret": "x"}}]}},
        "alerting.routes.1",
        "has no effect: alerting.routes.0 has the same matchers, and the first one decides",
    ),
    "a cluster's own route that another one is before": (
        {"clusters": {"eu-1": {"alertmanager": {"routes": [{"matchers": ['a="b"']}, {"matchers": ['a="b"']}]}}}},
        "clusters.eu-1.alertmanager.routes.1",
        "has no effect: clusters.eu-1.alertmanager.routes.0 has the same matchers, and the first one decides",
    ),
    "an Alertmanager of its own for the global cluster": (
        {"clusters": {"hub": {"alertmanager": {"webhook": {"secret": "x"}}}}},
        "clusters.hub.alertmanager",
        (
            "has no meaning for tier global, only for leaf or regional: the global one's is `alerting`,"
            " and an edge evaluates no alerts"
        ),
    ),
    "an Alertmanager of one's own in place of the fleet's": (
        {"values": {"prometheus": {"prometheusSpec": {"additionalAlertManagerConfigs": []}}}},
        "values.prometheus.prometheusSpec.additionalAlertManagerConfigs",
        "is not the page's to set: the Alertmanager of the fleet stands there",
    ),
    "several Alertmanagers": (
        clusters(hub={"values": {"alertmanager": {"alertmanagerSpec": {"replicas": 2}}}}),
        "clusters.hub.values.alertmanager.alertmanagerSpec.replicas",
        ("is not the page's to set: alerts from other clusters come to one of them, and they do not tell each other"),
    ),
    "a configuration of Alertmanager": (
        {"values": {"alertmanager": {"config": {"route": {"receiver": "mine"}}}}},
        "values.alertmanager.config.route.receiver",
        "is not the page's to set: the page's alerting decides it",
    ),
    "an Alertmanager for everyone": (
        clusters(hub={"values": {"alertmanager": {"service": {"type": "LoadBalancer"}}}}),
        "clusters.hub.values.alertmanager.service.type",
        ("is not the page's to set: alerts tell strangers what runs where, and whoever can post them can mute others"),
    ),
    "a chart from nowhere in particular": (
        {"chart": {"source": "oci://registry.example/chart"}},
        "chart.version",
        "a chart from a registry needs an exact version",
    ),
    "two kubeconfigs": (
        clusters(eu_1={"kubeconfig": "a", "kubeconfigSecret": "b"}),
        "clusters.eu-1.kubeconfigSecret",
        "kubeconfig and kubeconfigSecret exclude each other",
    ),
    "one wave for all": (
        clusters(**{name: {"wave": 2} for name in ("hub", "eu", "us", "eu_1", "us_1", "shop_1")}),
        "clusters.hub.wave",
        "has no effect: every cluster is in wave 2",
    ),
    "a timeout of waves without waves": (
        {"waves": {"timeout": "30m"}},
        "waves.timeout",
        "has no effect: every cluster is in the same wave",
    ),
    "a published Prometheus": (
        clusters(eu_1={"values": {"prometheus": {"service": {"type": "LoadBalancer"}}}}),
        "clusters.eu-1.values.prometheus.service.type",
        "is not the page's to set: it publishes 9090, which asks for no password; the gateway is the way in",
    ),
    "a section that is emptied": (
        {"values": {"prometheus": {"prometheusSpec": None}}},
        "values.prometheus.prometheusSpec",
        "is not the page's to set: nothing would be left of what the fleet decides there",
    ),
    "labels that are emptied": (
        {"values": {"commonLabels": None}},
        "values.commonLabels",
        "is not the page's to set: nothing would be left of what the fleet decides there",
    ),
    "waves that are never done": (
        {"waves": {"healthyFor": "15m"}, **clusters(eu_1={"wave": 2})},
        "waves.timeout",
        "must be longer than healthyFor, or no wave would ever be done",
    ),
    "a wave before the first": (
        clusters(eu_1={"wave": 0}),
        "clusters.eu-1.wave",
        "input should be greater than or equal to 1",
    ),
    "a destination's port that is none": (
        {"destinations": {"archive": {**ARCHIVE, "url": "https://archive.example:99999/push"}}},
        "destinations.archive.url",
        "port out of range 0-65535",
    ),
    "an address among blocks that is none": (
        {"networkPolicies": {"apiServer": ["192.0.2.0/24", "kubernetes"]}},
        "networkPolicies.apiServer",
        "'kubernetes' is not a block of addresses, as 192.0.2.0/24 is one",
    ),
    "a block with an address inside": (
        clusters(eu_1={"networkPolicies": {"nodes": ["10.0.3.7/16"]}}),
        "clusters.eu-1.networkPolicies.nodes",
        "'10.0.3.7/16' is not a block of addresses; did you mean 10.0.0.0/16?",
    ),
    "nodes that nobody asks": (
        clusters(eu={"networkPolicies": {"nodes": ["10.0.0.0/16"]}}),
        "clusters.eu.networkPolicies.nodes",
        "has no effect: no Prometheus here asks anything of its nodes",
    ),
    "callers of nobody": (
        clusters(shop_1={"networkPolicies": {"callers": ["192.0.2.0/24"]}}),
        "clusters.shop-1.networkPolicies.callers",
        "has no effect: there is no gateway that anybody calls",
    ),
    "a region without a name": (
        clusters(eu={"region": None}),
        "clusters.eu.region",
        "a regional cluster needs the region whose leaves it federates",
    ),
}


def test_the_fleet_itself_is_sound() -> None:
    assert problems(FLEET) == ()


@pytest.mark.parametrize(("change", "path", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_wrong_page_is_refused_with_the_field_and_the_reason(change: Page, path: str, message: str) -> None:
    found = [(problem.path, problem.message) for problem in problems(merged(FLEET, change))]
    assert (path, message) in found


@pytest.mark.parametrize("change", [change for change, _, _ in REFUSALS.values()], ids=REFUSALS)
def test_the_yaml_that_is_offered_is_yaml_at_that_place(change: Page) -> None:
    for problem in problems(merged(FLEET, change)):
        offered = yaml.safe_load(problem.fix)
        assert next(iter(offered)) == problem.path.split(".")[0]


def test_what_is_offered_within_a_lists_entry_is_yaml_of_such_an_entry() -> None:
    (problem,) = problems(merged(FLEET, extra("kube_pod_inof")))
    assert yaml.safe_load(problem.fix) == {"federate": [{"match": '{__name__="kube_pod_info"}'}]}


@pytest.mark.parametrize(
    ("path", "right"),
    [
        (("a", 0), {"a": ["v"]}),
        (("a", 1, "b"), {"a": [{"b": "v"}]}),
        (("a", 0, "b", 0), {"a": [{"b": ["v"]}]}),
        (("a", 0, "b", "c", 2, "d", "e"), {"a": [{"b": {"c": [{"d": {"e": "v"}}]}}]}),
        ((), "v"),
    ],
)
def test_a_snippet_has_lists_where_the_page_has_them(path: tuple[object, ...], right: object) -> None:
    assert yaml.safe_load(yaml_at(path, "v")) == right


def test_the_same_place_may_hold_two_in_different_namespaces() -> None:
    assert problems(merged(FLEET, clusters(us_1={"context": "eu-1", "namespace": "other"}))) == ()


def test_every_value_of_another_version_is_the_users_business() -> None:
    chart = {"chart": {"source": "oci://registry.example/chart", "version": "99.0.0"}}
    assert problems(merged(FLEET, {**chart, "values": {"brandNew": True}})) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"tiers": {"leaf": {"budget": 100}}},
        *(change for change, _, message in REFUSALS.values() if message is _NARROW),
    ],
)
def test_what_is_refused_once_is_accepted_as_offered(change: Page) -> None:
    page = merged(FLEET, change)
    (first, *_) = problems(page)
    assert problems(merged(page, yaml.safe_load(first.fix))) == ()


def test_a_window_is_the_pages_to_widen_and_of_who_is_not_written_to_its_own_business() -> None:
    assert problems(merged(FLEET, spec(tsdb={"outOfOrderTimeWindow": "12h"}))) == ()
    narrow = spec(tsdb={"outOfOrderTimeWindow": "0s"})["values"]
    assert problems(merged(FLEET, clusters(eu={"values": narrow}, eu_1={"values": narrow}))) == ()


@pytest.mark.parametrize("change", [change for change, _, message in REFUSALS.values() if message is _NO_SIDECAR])
def test_what_a_sidecar_of_ones_own_is_made_of_is_refused_once_and_accepted_without_it(change: Page) -> None:
    (found,) = problems(merged(FLEET, change))
    assert problems(merged(FLEET, {**change, **yaml.safe_load(found.fix)})) == ()


def test_the_charts_own_empty_section_makes_no_sidecar() -> None:
    assert problems(merged(FLEET, spec(thanos={}))) == ()


@pytest.mark.parametrize("field", ["clusters", "tiers", "gateway", "intervals"])
def test_nothing_of_the_page_is_changed_by_reading_it(field: str) -> None:
    page = merged(FLEET, {"tiers": {"leaf": {"replicas": 2}}, "gateway": {"port": 80}, "intervals": {"rules": "10s"}})
    before = copy.deepcopy(page)
    problems(page)
    assert page[field] == before[field]
