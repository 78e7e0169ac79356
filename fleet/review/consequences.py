"""What a change does to what is running, in words: the part that no diff says by itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from pydantic import JsonValue

from fleet.duration import parse_duration
from fleet.page.secrets import secret_in
from fleet.quantity import parse_quantity
from fleet.review.description import ClusterSide, Object
from fleet.review.differences import ClusterChange, ClusterState, Difference, EdgeChange
from fleet.review.markdown import code, codes
from fleet.review.nodes import mapping, sequence
from fleet.review.openings import admitted, published, selects
from fleet.review.servers import Server, reloader_image, restarting, servers


class Kind(Enum):
    """In the order in which they are told."""

    DATA = "Drops data"
    PORT = "Opens a port"
    CREDENTIAL = "Changes a credential"
    QUEUE = "Rebuilds a remote-write queue, whose backlog is lost"
    RESTART = "Restarts a Prometheus"
    BUDGET = "Raises an edge's budget"


@dataclass(frozen=True, slots=True)
class Consequence:
    kind: Kind
    what: str
    """Markdown; the same for each of `where`."""
    where: tuple[str, ...]
    """Clusters, or edges."""


def consequences(found: Difference) -> list[Consequence]:
    """What is the same in several clusters is one."""
    clusters = {each.name: each for each in found.clusters}
    told: dict[tuple[Kind, str], dict[str, None]] = {}
    for change in found.changed:
        for kind, what in _of_cluster(change):
            told.setdefault((kind, what), {})[change.name] = None
    for edge in found.edges:
        for kind, what in _of_edge(edge, clusters):
            told.setdefault((kind, what), {})[edge.id] = None
    for kind, what in _of_authority(found):
        told.setdefault((kind, what), {}).update(dict.fromkeys(found.after.clusters))
    order = [*Kind]
    listed = [Consequence(kind, what, tuple(names)) for (kind, what), names in told.items()]
    return sorted(listed, key=lambda each: order.index(each.kind))


Told = Iterator[tuple[Kind, str]]


def _of_cluster(change: ClusterChange) -> Told:
    before, after = change.before, change.after
    if after is None:
        if before is not None:
            yield Kind.DATA, _gone(before.side)
        return
    yield from ((Kind.PORT, each) for each in _opened(before, after))
    if before is None:
        return
    yield from _moved(before.side, after.side)
    yield from _of_servers(before, after)
    yield from _of_rules(before, after)
    yield from _of_secrets(change)


def _gone(side: ClusterSide) -> str:
    if side.protected:
        return (
            f"it leaves the page while its namespace {code(side.namespace)} is protected: `pulumi up` fails until "
            "`protect: false` is deployed"
        )
    return f"its namespace {code(side.namespace)} is deleted, with the release and whatever its Prometheus kept"


def _moved(before: ClusterSide, after: ClusterSide) -> Told:
    if before.place != after.place:
        what = f"it is reached by {code(after.place)} instead of {code(before.place)}"
        yield Kind.DATA, f"{what}; where that is another cluster, nobody deletes what runs in the first one"
    if before.namespace != after.namespace:
        what = f"namespace {code(before.namespace)} becomes {code(after.namespace)}"
        yield Kind.DATA, f"{what}: everything is made anew, volumes as well"
    if before.tier != after.tier:
        yield Kind.DATA, f"tier {before.tier} becomes {after.tier}: what it recorded until now is continued by nobody"


# The Prometheus objects


def _of_servers(before: ClusterState, after: ClusterState) -> Told:
    old, new = servers(before), servers(after)
    reloaders = reloader_image(before), reloader_image(after)
    for name, was in old.items():
        now = new.get(name)
        if now is None or now.kind != was.kind:
            yield (
                Kind.DATA,
                f"{was.kind} {code(str(name))} is deleted" + (f", {now.kind} takes its place" if now else ""),
            )
            yield from ((Kind.QUEUE, f"queue {code(queue)} goes with its Prometheus") for queue in was.queues)
            continue
        yield from _of_queues(was, now)
        yield from ((Kind.DATA, what) for what in _lost(was, now))
        if _uploads(was) and not _uploads(now):
            what = "its Thanos sidecar goes: up to three hours that it has not uploaded never get into the bucket"
            yield Kind.DATA, what
        reasons = [code(field) for field in restarting(was, now)]
        if None not in reloaders and reloaders[0] != reloaders[1]:
            reasons.append(f"another operator, whose config reloader is {code(str(reloaders[1]))}")
        if reasons:
            yield Kind.RESTART, f"{', '.join(reasons)}; {_while_restarting(now)}"


def _while_restarting(server: Server) -> str:
    if server.replicas > 1:
        return f"its {server.replicas} replicas one after the other"
    return "nothing is scraped until it is back"


def _of_queues(before: Server, after: Server) -> Told:
    relabelled = before.external_labels != after.external_labels
    for name, was in before.queues.items():
        now = after.queues.get(name)
        if now is None:
            yield Kind.QUEUE, f"queue {code(name)} is gone"
        elif was != now:
            yield Kind.QUEUE, f"queue {code(name)} begins anew at this moment: {_fields(was, now)}"
        elif relabelled:
            yield Kind.QUEUE, f"queue {code(name)} begins anew at this moment: `externalLabels`"


def _fields(before: JsonValue, after: JsonValue) -> str:
    old, new = mapping(before), mapping(after)
    return ", ".join(code(key) for key in sorted({*old, *new}) if old.get(key) != new.get(key))


def _lost(before: Server, after: Server) -> Iterator[str]:
    for field, size in (("retention", _seconds), ("retentionSize", _bytes)):
        was, now = before.spec.get(field), after.spec.get(field)
        if was != now and (was is None or now is None or size(now) < size(was)):
            yield f"{code(field)} {_worded(was)} becomes {_worded(now)}: what is beyond it is deleted"
    was, now = before.spec.get("storage"), after.spec.get("storage")
    if was != now:
        if now is None:
            yield "it loses its volume: a restarted pod starts empty, and what the volume holds is read by nobody"
        elif was is None:
            yield "it gets a volume: what it holds now, without one, goes with its pod"
        else:
            yield "`storage` changes: volumes that exist keep their size and class, and only new ones are as it says"
    if after.replicas < before.replicas:
        yield f"{before.replicas} replicas become {after.replicas}: what the others hold is read by nobody"
    for event in ("whenDeleted", "whenScaled"):
        if _policy(before, event) != "Delete" and _policy(after, event) == "Delete":
            yield f"volumes are deleted with their Prometheus from now on ({code(event)})"
    if before.external_labels != after.external_labels:
        what = f"external labels change ({_fields(before.external_labels, after.external_labels)})"
        yield f"{what}: above, every series ends and another one begins"


def _uploads(server: Server) -> bool:
    return bool(mapping(server.spec.get("thanos")).get("objectStorageConfig"))


def _worded(value: JsonValue) -> str:
    return code(str(value)) if value is not None else "of the default"


def _policy(server: Server, event: str) -> JsonValue:
    return mapping(server.spec.get("persistentVolumeClaimRetentionPolicy")).get(event)


def _seconds(text: JsonValue) -> float:
    return _measured(lambda each: parse_duration(each).total_seconds(), text)


def _bytes(text: JsonValue) -> float:
    return _measured(lambda each: float(parse_quantity(each.removesuffix("B"))), text)


def _measured(measure: Callable[[str], float], text: JsonValue) -> float:
    """What cannot be read is nothing: that it changes is told all the same."""
    try:
        return measure(str(text))
    except ValueError:
        return 0.0


# What else is in the cluster


def _opened(before: ClusterState | None, after: ClusterState) -> Iterator[str]:
    if before is None:
        # Whom the policies of a new cluster let in was nobody's to call before.
        yield from published(after.objects)
        return
    if before.is_rendered != after.is_rendered:
        # What the chart made on the other side is not known.
        return
    old = published(before.objects) | admitted(before.objects)
    yield from (each for each in published(after.objects) | admitted(after.objects) if each not in old)
    for name in before.objects:
        if name.kind == "NetworkPolicy" and name not in after.objects and selects(before.objects[name], after):
            yield f"NetworkPolicy {code(str(name))} is gone: it keeps nobody from its pods any more"


def _of_rules(before: ClusterState, after: ClusterState) -> Told:
    gone = [each for each in _recorded(before) if each not in _recorded(after)]
    if gone:
        yield Kind.DATA, f"no longer recorded: {codes(gone)}"


def _recorded(state: ClusterState) -> dict[str, None]:
    rules = (made for name, made in state.objects.items() if name.kind == "PrometheusRule")
    return dict.fromkeys(record for made in rules for record in _records(made))


def _records(node: JsonValue) -> Iterator[str]:
    if isinstance(record := mapping(node).get("record"), str):
        yield record
    for each in (*mapping(node).values(), *sequence(node)):
        yield from _records(each)


def _of_secrets(change: ClusterChange) -> Told:
    """Those that the chart makes; the fleet's own are told by their edges."""
    for each in change.objects:
        if each.name.kind == "Secret" and each.before is not None and each.after is not None:
            keys = [key for key in _held(each.after) if _held(each.after)[key] != _held(each.before).get(key)]
            if telling := [key for key in keys if secret_in(key, key)]:
                yield Kind.CREDENTIAL, f"Secret {code(str(each.name))} has another {codes(telling)}"


def _held(made: Object) -> Object:
    return mapping(made.get("data")) | mapping(made.get("stringData"))


# Edges


def _of_edge(edge: EdgeChange, clusters: Mapping[str, ClusterChange]) -> Told:
    before, after = edge.before, edge.after
    if before is None or after is None:
        yield from _of_way(edge, clusters)
        return
    if after.generation != before.generation:
        is_step = after.generation == before.generation + 1
        so = "its gateway accepts both, so nothing fails" if is_step else "its gateway refuses one of them"
        yield Kind.CREDENTIAL, f"generation {before.generation} of its key becomes {after.generation}; {so}"
    for name, gone, new in edge.facts():
        match name:
            case "auth" | "password":
                what = f"{name} of its key, {_or_none(gone)}, becomes {_or_none(new)}"
                so = "scrapes fail, and senders lose what they send, until both ends have it"
                yield Kind.CREDENTIAL, f"{what}; {so}"
            case "known by":
                yield Kind.CREDENTIAL, f"the caller expects {_or_none(new)} instead of {_or_none(gone)}"
            case "matches" | "metrics" | "children" | "clusters" if gone:
                yield Kind.DATA, f"no longer carries {codes(gone)}"
            case _:
                pass
    if before.budget is not None and after.budget is not None and after.budget > before.budget:
        yield Kind.BUDGET, f"{before.budget} becomes {after.budget} series"


def _of_way(edge: EdgeChange, clusters: Mapping[str, ClusterChange]) -> Told:
    """One that is new or gone, between clusters that stay."""
    side, is_new = edge.side, edge.before is None
    if side.kind == "reader":
        yield Kind.CREDENTIAL, f"a reader that may {'query from now on' if is_new else 'no longer query'}"
    elif not is_new and side.kind != "alerts" and _stays(side.lower, clusters) and _stays(side.upper, clusters):
        yield Kind.DATA, f"nothing goes this way, by {side.kind}, any more"


def _stays(name: str, clusters: Mapping[str, ClusterChange]) -> bool:
    """Those of other stacks do as far as is known."""
    return name not in clusters or clusters[name].after is not None


def _of_authority(found: Difference) -> Told:
    before, after = found.before.keys, found.after.keys
    if before is None or after is None or before.authority == after.authority or not found.before.clusters:
        return
    was, now = before.authority, after.authority
    if was.trust != now.trust:
        yield (
            Kind.CREDENTIAL,
            f"trusted authorities {_numbers(was.trust)} become {_numbers(now.trust)}, here and in callers' Secrets",
        )
    if was.issue != now.issue:
        yield Kind.CREDENTIAL, f"authority {now.issue} signs instead of {was.issue}: every certificate is made anew"


def _numbers(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))


def _or_none(values: Sequence[str]) -> str:
    return codes(values) or "none"
