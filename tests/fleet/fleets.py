"""Fleets by the hundred: pages that are right, and for each field a way to make it wrong."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

Page = dict[str, Any]
Path = tuple[str | int, ...]

_LEAVES: Mapping[str, Page] = {
    "plain": {},
    "pair": {"replicas": 2, "storage": {"size": "20Gi", "class": "fast"}},
    "writes": {"up": "remote_write"},
    "both": {"up": "both"},
    "direct": {"parent": "hub"},
    "node": {"gateway": {"type": "NodePort", "host": "192.0.2.1"}},
    "route": {
        "gateway": {"type": "HTTPRoute", "host": "a.example", "parentRef": {"name": "public", "namespace": "gateways"}}
    },
    "host": {"gateway": {"type": "Host", "host": "a.example", "passthrough": False}},
    "labelled": {"datacenter": "fra", "environment": "test", "labels": {"team": "shop"}},
    "muted": {"maintenance": {"until": "2026-12-01T07:00:00+01:00", "reason": "nodes are replaced"}},
    "closed": {"networkPolicies": {"nodes": ["10.0.0.0/16"], "callers": ["192.0.2.0/24"]}},
    "open": {"networkPolicies": False},
    "small": {"expect": {"namespaces": 2, "nodes": 1}, "budget": 500, "retention": "6h"},
    "late": {"wave": 3},
    "verbose": {"values": {"prometheus": {"prometheusSpec": {"logLevel": "debug"}}}},
}

# Groups of like clusters are drawn, and how many there are in each: a size then costs one draw, not one per cluster.
_COUNTS = st.sampled_from([1, 2, 3, 40, 280])
_GROUPS = st.lists(st.tuples(st.sampled_from(sorted(_LEAVES)), st.integers(0, 5), _COUNTS), max_size=5)

_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "intervals": st.sampled_from(
            [
                {"scrape": "15s", "rules": "45s", "timeout": "15s"},
                {"federation": {"regional": "2m", "global": "2m", "timeout": "2m"}},
                {"scrape": "5s", "rules": "5s", "federation": {"floor": "6s", "regional": "6s", "global": "10s"}},
            ]
        ),
        "keep": st.sampled_from([[], ["go_goroutines"], ["sales_total", "sales_errors_total"]]),
        "federate": st.just(
            [
                {"match": 'kube_pod_info{namespace="shop"}', "reason": "pods of the shop", "series": 50},
                {"match": '{__name__=~"cluster:node.*"}', "reason": "by node", "series": 40, "of": "regional"},
            ]
        ),
        "tiers": st.just({"global": {"retention": "90d", "storage": {"size": "1Ti"}}, "leaf": {"budget": 3000}}),
        "destinations": st.sampled_from(
            [
                {
                    "archive": {
                        "kind": "generic",
                        "url": "https://archive.example/push",
                        "senders": "hub",
                        "auth": {"bearer": {"secret": "archive"}},
                    }
                },
                {
                    "mimir": {
                        "kind": "mimir",
                        "url": "https://mimir.example/api/v1/push",
                        "tenant": "fleet",
                        "senders": "global",
                        "auth": {"basic": {"username": "fleet", "config": "mimir"}},
                        "keep": "global:.+",
                        "metadata": False,
                    }
                },
            ]
        ),
        "chart": st.just({"version": "88.5.3", "registry": "mirror.example"}),
        "namespace": st.just("observability"),
        "alerting": st.sampled_from(
            [{"after": "20m", "webhook": {"secret": "hook"}}, {"deadMansSwitch": {"secret": "pulse", "key": "address"}}]
        ),
        "dashboards": st.booleans(),
        "protect": st.booleans(),
        "networkPolicies": st.sampled_from([True, False, {"apiServer": ["192.0.2.0/28", "2001:db8::/64"]}]),
    },
)


_FOUND = st.integers(0, 2)


def _discovers(parent: str, count: int) -> Page:
    found = {f"found-{parent}-{number}": {"namespace": "shop", "expect": {"nodes": 1}} for number in range(count)}
    return {"discover": found} if found else {}


@st.composite
def fleets(draw: st.DrawFn) -> Page:
    """A page that is right, with up to 300 clusters."""
    aggregated = draw(st.integers(0, 5))
    clusters: dict[str, Page] = {"hub": {"tier": "global", "context": "hub", **_discovers("hub", draw(_FOUND))}}
    for number in range(aggregated):
        region = f"region{number}"
        clusters[region] = {"tier": "regional", "region": region, "context": region, **_discovers(region, draw(_FOUND))}
        clusters[f"{region}-first"] = {"tier": "leaf", "region": region, "context": f"{region}-first"}
    for group, (kind, number, count) in enumerate(draw(_GROUPS)):
        for each in range(count):
            name = f"leaf-{group}-{each}"
            clusters[name] = copy.deepcopy(
                {"tier": "leaf", "region": f"region{number}", "context": name, **_LEAVES[kind]}
            )
            if "host" in clusters[name].get("gateway", {}):
                clusters[name]["gateway"]["host"] = f"{name}.example"
    for each in range(draw(st.integers(0, 20))):
        clusters[f"edge-{each}"] = {"tier": "edge", "kubeconfig": f"edges/{each}.yaml"}
    page = {"clusters": dict(list(clusters.items())[:300]), **draw(_OPTIONS)}
    return copy.deepcopy(page)


Mutation = Callable[[Page], Path | None]
"""Makes one field of a page wrong and answers which; None where the page has no such field."""


def _set(page: Page, path: Path, value: object) -> Path:
    *above, last = path
    node: Any = page
    for key in above:
        node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
    node[last] = value
    return path


def _first(page: Page, tier: str) -> str | None:
    return next((name for name, each in page["clusters"].items() if each["tier"] == tier), None)


def _always(path: Path, value: object) -> Mutation:
    return lambda page: _set(page, path, value)


def _of(tier: str, field: str, value: object) -> Mutation:
    def mutate(page: Page) -> Path | None:
        name = _first(page, tier)
        return _set(page, ("clusters", name, field), value) if name is not None else None

    return mutate


def _match(match: str) -> Mutation:
    def mutate(page: Page) -> Path:
        page["federate"] = [{"match": match, "reason": "r", "series": 1}]
        return ("federate", 0, "match")

    return mutate


def _values(value: object, *path: str) -> Mutation:
    return lambda page: _set(page, ("values", *path), value)


def _no_top(page: Page) -> Path:
    del page["clusters"]["hub"]
    for each in page["clusters"].values():
        if each.get("parent") == "hub":
            del each["parent"]
    page.pop("destinations", None)
    page["clusters"]["lone"] = {"tier": "leaf", "context": "lone"}
    return ("clusters",)


def _second_top(page: Page) -> Path:
    page["clusters"]["second"] = {"tier": "global", "context": "second"}
    return ("clusters", "second", "tier")


def _same_place(page: Page) -> Path:
    page["clusters"]["twin"] = {"tier": "leaf", "context": "hub"}
    return ("clusters", "twin", "context")


def _second_aggregator(page: Page) -> Path | None:
    name = _first(page, "regional")
    if name is None:
        return None
    page["clusters"]["rival"] = {**page["clusters"][name], "context": "rival"}
    return ("clusters", "rival", "region")


def _cycle(page: Page) -> Path | None:
    regionals = [name for name, each in page["clusters"].items() if each["tier"] == "regional"]
    if len(regionals) < 2:
        return None
    page["clusters"][regionals[1]]["parent"] = regionals[0]
    return _set(page, ("clusters", regionals[0], "parent"), regionals[1])


def _childless(page: Page) -> Path:
    page["clusters"]["empty"] = {"tier": "regional", "region": "nowhere", "context": "empty"}
    return ("clusters", "empty", "region")


def _undeclared_region(page: Page) -> Path:
    page["regions"] = sorted({each["region"] for each in page["clusters"].values() if "region" in each})
    page["clusters"]["stray"] = {"tier": "leaf", "region": "moon", "context": "stray"}
    return ("clusters", "stray", "region")


def _below_an_edge(page: Page) -> Path | None:
    edge, leaf = _first(page, "edge"), _first(page, "leaf")
    if edge is None or leaf is None or page["clusters"][leaf].get("up") == "remote_write":
        return None
    return _set(page, ("clusters", leaf, "parent"), edge)


def _one_address_of_two_receivers(page: Page) -> Path:
    page["clusters"]["writer"] = {"tier": "edge", "context": "writer"}
    page["clusters"]["hub"] |= {"replicas": 2, "gateway": {"type": "Host", "host": "both.example.com"}}
    return ("clusters", "hub", "gateway", "replicas")


def _large(page: Page) -> Path:
    page["clusters"]["large"] = {
        "tier": "leaf",
        "region": "alone",
        "context": "large",
        "expect": {"namespaces": 5000},
        "budget": 1000,
    }
    return ("clusters", "large", "budget")


def _unreachable(page: Page) -> Path:
    page["clusters"]["far"] = {"tier": "leaf", "region": "alone", "context": "far", "gateway": {"type": "NodePort"}}
    return ("clusters", "far", "gateway", "host")


def _impersonated(page: Page) -> Path:
    for name in ("first", "second"):
        gateway = {"type": "Host", "host": "one.example"}
        page["clusters"][name] = {"tier": "leaf", "region": "alone", "context": name, "gateway": gateway}
    return ("clusters", "second", "gateway", "host")


def _uncalled(page: Page) -> Path:
    page["clusters"]["mute"] = {"tier": "leaf", "context": "mute", "up": "remote_write", "gateway": {"port": 80}}
    return ("clusters", "mute", "gateway")


def _maintenance(page: Page) -> Path | None:
    name = _first(page, "edge")
    until = {"until": "2026-12-01T06:00:00", "reason": "r"}
    return (*_set(page, ("clusters", name, "maintenance"), until), "until") if name is not None else None


def _found_twice(page: Page) -> Path | None:
    parent = _first(page, "regional")
    if parent is None:
        return None
    for each in ("hub", parent):
        page["clusters"][each].setdefault("discover", {})["twin"] = {"namespace": "shop"}
    return ("clusters", parent, "discover", "twin")


def _policies(addresses: Page, *above: str) -> Mutation:
    path = (*above, "networkPolicies")
    return lambda page: (*_set(page, path, addresses), *addresses)


def _closed_to_nobody(page: Page) -> Path:
    page["clusters"]["mute"] = {"tier": "leaf", "context": "mute", "up": "remote_write"}
    return _set(page, ("clusters", "mute", "networkPolicies", "callers"), ["192.0.2.0/24"])


def _destination(field: str, value: object, *within: str | int) -> Mutation:
    """A destination with one field that is wrong, or missing."""

    def mutate(page: Page) -> Path:
        right = {
            "kind": "mimir",
            "url": "https://mimir.example/api/v1/push",
            "tenant": "fleet",
            "senders": "hub",
            "auth": {"basic": {"secret": "mimir"}},
            "series": 1000000,
        }
        wrong = {key: each for key, each in {**right, field: value}.items() if each is not None}
        _set(page, ("destinations",), {"mimir": wrong})
        return ("destinations", "mimir", field, *within)

    return mutate


_SPEC = ("prometheus", "prometheusSpec")

MUTATIONS: Mapping[str, Mutation] = {
    "unknown key of the page": _always(("clutsers",), {}),
    "unknown key of a cluster": _of("global", "contxt", "hub"),
    "unknown tier": _always(("clusters", "hub", "tier"), "top"),
    "no global cluster": _no_top,
    "two global clusters": _second_top,
    "two clusters in one place": _same_place,
    "two aggregators of one region": _second_aggregator,
    "region without a leaf": _childless,
    "region that is not declared": _undeclared_region,
    "cycle": _cycle,
    "own parent": _of("regional", "parent", "region0"),
    "parent that is none": _of("regional", "parent", "nobody"),
    "wave of nobody": _of("global", "wave", 0),
    "waves without a wave": lambda page: (
        None if any("wave" in each for each in page["clusters"].values()) else _set(page, ("waves", "timeout"), "1h")
    ),
    "orphan": _of("regional", "parent", []),
    "below an edge": _below_an_edge,
    "edge that is federated": _of("edge", "parent", "hub"),
    "edge with a gateway": _of("edge", "gateway", {}),
    "edge with retention": _of("edge", "retention", "1d"),
    "discovery of a cluster": _always(("clusters", "hub", "discover", "hub"), {"namespace": "shop"}),
    "discovery of one by two": _found_twice,
    "discovery of nobody": _of("global", "discover", {}),
    "discovery by an edge": _of("edge", "discover", {"team-a": {"namespace": "shop"}}),
    "discovery without a namespace": lambda page: (
        _set(page, ("clusters", "hub", "discover", "team-a"), {"port": "gateway"})
        and ("clusters", "hub", "discover", "team-a", "namespace")
    ),
    "federation too often": _always(("intervals",), {"federation": {"regional": "30s"}}),
    "federation as often as rules": _always(("intervals",), {"rules": "1m"}),
    "top faster than regions": _always(("intervals",), {"federation": {"regional": "10m"}}),
    "scrape timeout above its interval": _always(("intervals",), {"timeout": "1h"}),
    "federation timeout above its interval": _always(("intervals",), {"federation": {"timeout": "1h"}}),
    "match that does not parse": _match("{__name__="),
    "match of everything": _match('{__name__=~".+"}'),
    "match without a name": _match('{job="x"}'),
    "match of up": _match('{__name__=~"up|kube_pod_info"}'),
    "match of nothing": _match("no_such_metric"),
    "match that is open": _match('{__name__=~"kube_.+"}'),
    "match without a reason": lambda page: (
        _set(page, ("federate",), [{"match": "kube_pod_info", "series": 1}]) and ("federate", 0, "reason")
    ),
    "kept up": lambda page: _set(page, ("keep",), ["up"]) and ("keep", 0),
    "retention of nothing": _of("global", "retention", "0s"),
    "retention that is none": _of("global", "retention", "long"),
    "storage that is none": _always(("clusters", "hub", "storage", "size"), "much"),
    "negative storage": _always(("clusters", "hub", "storage", "size"), "-1Gi"),
    "dashboards neither on nor off": _always(("dashboards",), "some"),
    "no replica": _of("global", "replicas", 0),
    "one address of two receivers": _one_address_of_two_receivers,
    "reserved label": lambda page: (
        page["clusters"].update(mine={"tier": "leaf", "context": "mine", "labels": {"cluster": "other"}})
        or ("clusters", "mine", "labels", "cluster")
    ),
    "reserved label in the values": _values("x", *_SPEC, "externalLabels", "cluster"),
    "value that is decided": _values([], *_SPEC, "volumes"),
    "value that the chart does not have": _values(1, *_SPEC, "retentoin"),
    "password in the values": _values("hunter2", "grafana", "adminPassword"),
    "over budget": _large,
    "gateway without an address": _unreachable,
    "gateway that nobody calls": _uncalled,
    "one address for two": _impersonated,
    "alerts too soon": _always(("alerting", "after"), "1s"),
    "maintenance without a timezone": _maintenance,
    "maintenance of the top": _of("global", "maintenance", {"until": "2026-12-01T06:00:00Z", "reason": "r"}),
    "callers of a gateway that is none": _closed_to_nobody,
    "nodes that nobody asks": _policies({"nodes": ["10.0.0.0/8"]}, "clusters", "hub"),
    "network policies of nothing": _always(("networkPolicies",), None),
    "callers that are nobody": _policies({"callers": []}),
    "label value that would be expanded": _of("leaf", "region", "$1"),
    "destination of nobody's": _destination("auth", None),
    "destination at another kind's path": _destination("url", "https://mimir.example/api/v1/write"),
    "destination of no tenant": _destination("tenant", None),
    "destination that is sent nothing": _destination("keep", ["region:nothing"], 0),
    "destination whose queue is too small": _destination("queue", {"maxShards": 1}, "maxShards"),
    "sender that is none": lambda page: _set(
        page, ("destinations",), {"far": {"kind": "generic", "url": "https://far.example", "senders": ["nobody"],
                                            "auth": {"bearer": {"secret": "far"}}}}
    ) and ("destinations", "far", "senders", 0),
}  # fmt: skip

INTERVALS: Mapping[str, Path] = {
    "federation too often": ("intervals", "federation", "regional"),
    "federation as often as rules": ("intervals", "federation", "regional"),
    "top faster than regions": ("intervals", "federation", "global"),
    "scrape timeout above its interval": ("intervals", "timeout"),
    "federation timeout above its interval": ("intervals", "federation", "timeout"),
}
"""Where it is said, when a mutation sets several intervals at once."""
