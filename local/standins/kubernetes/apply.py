"""Server-side apply, and who owns which field."""

import re
from collections.abc import Iterable
from typing import Final

from local.standins.host import StandInError
from local.standins.kubernetes.await_ready import annotation
from local.standins.kubernetes.client import APPLY, CONFLICT, JSON_PATCH, ApiError, Client, Resource
from local.standins.kubernetes.naming import owner_mark
from local.standins.properties import Json, JsonObject, pluck, pluck_list, pluck_map, pluck_str

FIELD_MANAGER: Final = "__fieldManager"
BY_POST: Final = {"kubectl", "before-first-apply", "pulumi-kubernetes", "pulumi-resource-kubernetes"}
"""Managers whose plain writes the official plugin treats as its own."""


def field_manager(inputs: JsonObject, state: JsonObject, urn: str) -> str:
    named = annotation(inputs, "pulumi.com/patchFieldManager") or pluck_str(state, FIELD_MANAGER)
    return named or f"pulumi-kubernetes-{owner_mark(urn)}"


def applied_by(live: JsonObject, manager: str) -> bool:
    return any(
        pluck(entry, "manager") == manager and pluck(entry, "operation") == "Apply"
        for entry in pluck_list(live, "metadata", "managedFields")
    )


async def apply(
    client: Client, resource: Resource, inputs: JsonObject, manager: str, *, force: bool, dry_run: bool = False
) -> JsonObject:
    """The object afterwards. Raises ApiError, and StandInError where somebody else owns a field."""
    path = resource.path(pluck_str(inputs, "metadata", "namespace"), pluck_str(inputs, "metadata", "name"))
    params = {"fieldManager": manager, "force": str(force).lower(), **({"dryRun": "All"} if dry_run else {})}
    try:
        return await client.write("PATCH", path, inputs, params=params, content_type=APPLY)
    except ApiError as error:
        causes = pluck_list(error.status, "details", "causes")
        if error.code != CONFLICT or dry_run or not causes:
            raise
        fields = "; ".join(f"{pluck_str(cause, 'field')}: {pluck_str(cause, 'message')}" for cause in causes)
        raise StandInError(
            f"{resource.kind} {pluck_str(inputs, 'metadata', 'name')!r}: others own fields that the program sets "
            f"({fields}); take them out of the program, or set the annotation pulumi.com/patchForce to take them back"
        ) from None


async def take_over(client: Client, path: str, live: JsonObject, manager: str) -> JsonObject:
    """Gives the manager what its plain writes own: applying would conflict with those otherwise."""
    entries = pluck_list(live, "metadata", "managedFields")
    mine = [entry for entry in entries if isinstance(entry, dict) and _is_mine(entry, manager)]
    if not any(_by_post(entry) for entry in mine):
        return live
    fields: JsonObject = {}
    for entry in mine:
        fields = _union(fields, pluck_map(entry, "fieldsV1"))
    merged: JsonObject = {**mine[0], "manager": manager, "operation": "Apply", "fieldsV1": fields}
    kept: list[Json] = [entry for entry in entries if entry not in mine]
    patch: list[Json] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": pluck_str(live, "metadata", "resourceVersion")},
        {"op": "replace", "path": "/metadata/managedFields", "value": [*kept, merged]},
    ]
    return await client.write("PATCH", path, patch, content_type=JSON_PATCH)


def _is_mine(entry: JsonObject, manager: str) -> bool:
    return _by_post(entry) or (entry.get("manager") == manager and entry.get("operation") == "Apply")


def _by_post(entry: JsonObject) -> bool:
    return entry.get("manager") in BY_POST and entry.get("operation") == "Update" and not entry.get("subresource")


def _union(left: JsonObject, right: JsonObject) -> JsonObject:
    both = {key: _union(pluck_map(left, key), pluck_map(right, key)) for key in left.keys() & right.keys()}
    return {**left, **right, **both}


def keep_ignored(inputs: JsonObject, live: JsonObject, paths: Iterable[str]) -> None:
    """Puts the live values under ignoreChanges paths into the inputs: equal values never conflict."""
    for path in paths:
        *parents, last = [first or second for first, second in re.findall(r'\["([^"]+)"\]|([^.\[\]]+)', path)]
        value = pluck(live, *parents, last)
        target = pluck(inputs, *parents)
        if value is not None and isinstance(target, dict):
            target[last] = value
