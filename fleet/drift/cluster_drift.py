"""One cluster: what it should have, and what it has."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from fleet.drift.api import Kind, Objects, Refused
from fleet.drift.compare import PROGRAM, Wanted, described, field_drifts, manager, to_try, wanted
from fleet.drift.drift import ClusterDrift, FieldDrift, JsonObject, ObjectDrift, What
from fleet.drift.fields import differences, managers, shown
from fleet.drift.record import Release, release
from fleet.names import PART_OF, PROJECT, RELEASE
from fleet.plan import ClusterPlan, Plan
from fleet.prometheus import Prometheus, Unreachable
from fleet.render import manifests_of, rendered_values
from fleet.secrets import expected_secrets

_NOT_HELMS = "owner!=helm"
"""Helm's own records are large, and none of what it deploys."""
_RELEASE_NAME = "meta.helm.sh/release-name"

Place = tuple[str, str, str]
"""Kind, namespace and name."""
Found = Mapping[Place, tuple[Kind, JsonObject]]


async def cluster_drift(
    plan: Plan, cluster: ClusterPlan, client: Prometheus | Unreachable, addresses: Mapping[str, str]
) -> ClusterDrift:
    """`addresses` of gateways by cluster. What cannot be asked is told, and no error."""
    if isinstance(client, Unreachable):
        return ClusterDrift(cluster.name, error=str(client))
    try:
        return await _Comparison(plan, cluster, Objects(client), addresses).drift()
    except (Unreachable, Refused) as error:
        return ClusterDrift(cluster.name, error=str(error))


class _Comparison:
    def __init__(self, plan: Plan, cluster: ClusterPlan, objects: Objects, addresses: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._objects = objects
        self._values = _json(rendered_values(plan, cluster, addresses))
        self._programs = [wanted(_json(each), is_programs=True) for each in manifests_of(plan, cluster)]
        secrets = (each for each in expected_secrets(plan) if each.cluster == cluster.name)
        self._brought: set[Place] = {("Secret", each.namespace, each.name) for each in secrets}
        self._errors = dict[Place, str]()

    async def drift(self) -> ClusterDrift:
        found = await release(self._objects, self._cluster.namespace)
        charts = [wanted(each, is_programs=False) for each in found.objects] if found is not None else []
        everything = [*self._programs, *charts]
        live = await self._live(everything)
        compared = await asyncio.gather(*(self._object(one, live) for one in everything))
        drifts = [
            *self._release(found),
            *(each for each in compared if each is not None),
            *self._strays(everything, live),
        ]
        error = "; ".join(f"{' '.join(filter(None, place))}: {text}" for place, text in self._errors.items()) or None
        return ClusterDrift(self._cluster.name, tuple(drifts), error, len(everything) + 1)

    async def _live(self, everything: Sequence[Wanted]) -> Found:
        """All that the kinds have in the cluster's own namespace; elsewhere only what is wanted."""
        found = dict[Place, tuple[Kind, JsonObject]]()
        elsewhere = defaultdict[Kind, list[Wanted]](list)
        ours = dict[Kind, None]()
        for one in everything:
            kind = await self._objects.kind(one.api_version, one.kind)
            if kind is None:
                continue
            if kind.namespaced and self._namespace(one) == self._cluster.namespace:
                ours[kind] = None
            else:
                elsewhere[kind].append(one)
        listed = await asyncio.gather(*(self._listed(kind) for kind in ours))
        for kind, items in zip(ours, listed, strict=True):
            found |= {_place(item): (kind, item) for item in items}
        for kind, ones in elsewhere.items():
            items = await asyncio.gather(*(self._objects.find(kind, self._namespace(one), one.name) for one in ones))
            found |= {_place(item): (kind, item) for item in items if item is not None}
        return found

    async def _listed(self, kind: Kind) -> list[JsonObject]:
        selector = _NOT_HELMS if kind.kind == "Secret" else ""
        return await self._objects.listed(kind, self._cluster.namespace, selector)

    def _namespace(self, one: Wanted) -> str:
        return one.namespace or self._cluster.namespace

    async def _object(self, one: Wanted, live: Found) -> ObjectDrift | None:
        there = live.get((one.kind, self._namespace(one), one.name)) or live.get((one.kind, "", one.name))
        if there is None:
            return ObjectDrift(one.kind, self._namespace(one), one.name, What.MISSING)
        kind, found = there
        place = _place(found)
        try:
            tried = await self._objects.tried(kind, self._namespace(one), to_try(one, found), manager(one, found))
        except Refused as error:
            # It quotes what it was sent.
            text = "the API server refuses it" + ("" if one.kind == "Secret" else f": {error}")
            if error.is_invalid:
                return ObjectDrift(*place, What.CHANGED, _people(found), (FieldDrift("as a whole:", text),))
            self._errors[place] = text
            return None
        fields = field_drifts(one, found, tried)
        return ObjectDrift(*place, What.CHANGED, _people(found), fields) if fields else None

    def _release(self, found: Release | None) -> Iterator[ObjectDrift]:
        """Whether Helm's record is what the page says: the chart's objects are held against that record."""
        place = "Release", self._cluster.namespace, RELEASE
        if found is None:
            yield ObjectDrift(*place, What.MISSING)
            return
        fields = [
            FieldDrift(f"values.{shown(each.path)}", described(each))
            for each in differences(_without_none(found.values), _without_none(self._values))
        ]
        version = self._cluster.chart.version
        if version is not None and found.chart_version != version:
            fields.append(FieldDrift("version", f"is {found.chart_version}, should be {version}"))
        if found.status != "deployed":
            fields.append(FieldDrift("status", f"revision {found.revision} is {found.status}"))
        if fields:
            yield ObjectDrift(*place, What.CHANGED, fields=tuple(fields))

    def _strays(self, everything: Sequence[Wanted], live: Found) -> Iterator[ObjectDrift]:
        """Of the kinds that are deployed here, what nobody asked for."""
        asked = {(one.kind, one.name) for one in everything}
        named = {*_texts(self._values), *(text for one in everything for text in _texts(one.object))}
        for place, (_, item) in live.items():
            kind, _, name = place
            metadata = cast("JsonObject", item["metadata"])
            # Who owns it answers for it; what is named in what is deployed is asked for there.
            if (kind, name) in asked or place in self._brought or metadata.get("ownerReferences") or name in named:
                continue
            if _is_ours(metadata, item):
                yield ObjectDrift(*place, What.LEFT, _people(item))
            elif people := _people(item):
                yield ObjectDrift(*place, What.ADDED, people)


def _is_ours(metadata: JsonObject, item: JsonObject) -> bool:
    labels = cast("JsonObject", metadata.get("labels") or {})
    annotations = cast("JsonObject", metadata.get("annotations") or {})
    made = labels.get(PART_OF) == PROJECT and any(each.name.startswith(PROGRAM) for each in managers(item))
    return made or annotations.get(_RELEASE_NAME) == RELEASE


def _people(item: JsonObject) -> str:
    return ", ".join(dict.fromkeys(each.name for each in managers(item) if each.is_a_person))


def _place(item: JsonObject) -> Place:
    metadata = cast("JsonObject", item["metadata"])
    return str(item["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def _json(value: object) -> JsonObject:
    """Mappings and tuples of every kind become what JSON has."""
    return cast("JsonObject", json.loads(json.dumps(value)))


def _without_none(value: JsonValue) -> JsonValue:
    """Helm's record keeps no nulls."""
    if isinstance(value, dict):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_none(each) for each in value]
    return value
