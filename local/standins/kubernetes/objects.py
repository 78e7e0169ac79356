"""Kubernetes objects of any kind, typed or custom, by server-side apply."""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import Final

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.diffs import changes, prune, response
from local.standins.host import Host, InitFailedError, StandInError
from local.standins.kinds import token_of
from local.standins.kubernetes.apply import FIELD_MANAGER, applied_by, apply, field_manager, keep_ignored, take_over
from local.standins.kubernetes.await_ready import (
    SKIP_AWAIT,
    SKIPS_ON_DELETE,
    NotReadyError,
    Waiter,
    annotation,
    problem_now,
    timeout_of,
)
from local.standins.kubernetes.client import NOT_FOUND, ApiError, Client, NoSuchKindError, Resource
from local.standins.kubernetes.cluster_kind import ClusterKind
from local.standins.kubernetes.config import Settings
from local.standins.kubernetes.naming import autoname, join_id, split_id
from local.standins.kubernetes.replacing import replacing_fields
from local.standins.properties import (
    UNKNOWN,
    Json,
    JsonObject,
    Properties,
    annotate,
    from_json,
    has_unknown,
    marshal,
    plain_map,
    pluck,
    pluck_map,
    pluck_str,
    secret,
    unmarshal,
)

AUTONAMED: Final = "pulumi.com/autonamed"
PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
INPUTS: Final = "__inputs"
API_VERSION: Final = "__initialApiVersion"
BOOKKEEPING: Final = {INPUTS, API_VERSION, FIELD_MANAGER}
READ_ONLY: Final = {
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
}
RETRY_SECONDS: Final = (1, 2, 4, 8)
"""A namespace or a CustomResourceDefinition made beside the object may come a moment after it."""


@dataclass(frozen=True)
class Attempt:
    """One create or update as the engine asked for it."""

    urn: str
    given: Properties
    inputs: JsonObject
    manager: str
    seconds: float
    """The resource option's timeout, 0 where there is none."""
    created: bool


class Objects(ClusterKind):
    def __init__(self, host: Host, client: Client, settings: Settings) -> None:
        super().__init__(host, client, settings)
        self._taken_over: set[str] = set()

    async def check(self, request: pb.CheckRequest) -> pb.CheckResponse:
        skipped = await self.skipped(request)
        if skipped:
            return skipped
        given = unmarshal(request.news)
        inputs = normalize(dashed(plain_map(given)))
        metadata = inputs.setdefault("metadata", {})
        if isinstance(metadata, dict):
            if metadata.get("generateName"):
                raise StandInError(
                    f"{request.urn}: metadata.generateName does not work with server-side apply; "
                    "set metadata.name or neither"
                )
            if not metadata.get("name"):
                old = dashed(plain_map(unmarshal(request.olds)))
                metadata["name"] = _old_autoname(old) or autoname(request)
                annotations = metadata.setdefault("annotations", {})
                if isinstance(annotations, dict):
                    annotations[AUTONAMED] = "true"
            if not metadata.get("namespace") and await self.client.namespaced(*_kind_of(inputs, request.urn)):
                metadata["namespace"] = self.client.default_namespace
        return pb.CheckResponse(inputs=marshal(annotated(inputs, given)))

    async def diff(self, request: pb.DiffRequest) -> pb.DiffResponse:
        old = normalize(dashed(plain_map(unmarshal(request.old_inputs))))
        new = normalize(dashed(plain_map(unmarshal(request.news))))
        live = plain_map(unmarshal(request.olds))
        fixed_name = (
            annotation(new, AUTONAMED) != "true"
            and pluck(new, "metadata", "name") == pluck(live, "metadata", "name")
            and pluck_str(new, "metadata", "namespace") == pluck_str(live, "metadata", "namespace")
        )
        return response(
            changes(old, new), replacing=replacing_fields(new, self.settings), delete_before_replace=fixed_name
        )

    async def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        given = unmarshal(request.properties)
        inputs = dashed(plain_map(given))
        manager = field_manager(inputs, {}, request.urn)
        if request.preview:
            live = await self._preview(inputs, manager)
            if live is None:
                return pb.CreateResponse(properties=request.properties)
            return pb.CreateResponse(properties=marshal(checkpoint(inputs, live, given, manager)))
        await self.require_cluster()
        resource, live = await self._create(request.urn, inputs, manager)
        attempt = Attempt(request.urn, given, inputs, manager, request.timeout, created=True)
        live = await self._ready(resource, live, attempt)
        return pb.CreateResponse(id=_id_of(live), properties=marshal(checkpoint(inputs, live, given, manager)))

    async def _preview(self, inputs: JsonObject, manager: str) -> JsonObject | None:
        """The object as the server would make it, None where it cannot say yet."""
        if has_unknown(inputs) or await self.client.why_unreachable():
            return None
        try:
            resource = await self.client.resource(*_kind_of(inputs, ""))
            live = await apply(self.client, resource, inputs, manager, force=True, dry_run=True)
        except NoSuchKindError:
            return None
        except ApiError as error:
            # A namespace to come, no right to try, or an immutable field of an object that is to be replaced.
            if error.reason in {"NotFound", "Forbidden", "Conflict", "AlreadyExists"} or "immutable" in str(error):
                return None
            raise
        live.pop("status", None)
        return live

    async def _create(self, urn: str, inputs: JsonObject, manager: str) -> tuple[Resource, JsonObject]:
        for seconds in (*RETRY_SECONDS, None):
            try:
                resource = await self.client.resource(*_kind_of(inputs, urn))
                return resource, await self._create_once(urn, resource, inputs, manager)
            except (NoSuchKindError, ApiError) as error:
                if seconds is None or (isinstance(error, ApiError) and error.code != NOT_FOUND):
                    raise StandInError(f"{urn} was not created by the Kubernetes API server: {error}") from None
                await self.host.progress(urn, f"will try again in {seconds} s: {error}")
                await self.host.unless_cancelled(asyncio.sleep(seconds), "the next try")
        raise AssertionError

    async def _create_once(self, urn: str, resource: Resource, inputs: JsonObject, manager: str) -> JsonObject:
        name, namespace = pluck_str(inputs, "metadata", "name"), pluck_str(inputs, "metadata", "namespace")
        existing = await self.client.find(resource.path(namespace, name))
        if existing is not None and not self.settings.upsert:
            what = f"{resource.kind} {join_id(namespace, name)!r}"
            if not applied_by(existing, manager):
                raise StandInError(
                    f"{what} already exists in the cluster, and nothing in it says that this resource made it; "
                    "import it (pulumi import), delete it, or set upsertExistingObjects on the provider"
                )
            await self.host.warn(urn, f"{what} is left of an interrupted run of this resource: going on with it")
            self._taken_over.add(pluck_str(existing, "metadata", "uid"))
        return await apply(self.client, resource, inputs, manager, force=self._force(inputs, existing))

    def _force(self, inputs: JsonObject, live: JsonObject | None) -> bool:
        asked = self.settings.patch_force or annotation(inputs, "pulumi.com/patchForce") == "true"
        return asked or (live is not None and not pluck(live, "metadata", "managedFields"))

    async def _ready(self, resource: Resource, live: JsonObject, attempt: Attempt) -> JsonObject:
        waiter = Waiter(self.host, self.client, attempt.urn)
        try:
            return await waiter.until_ready(
                resource, live, attempt.inputs, timeout_of(attempt.inputs, attempt.seconds), created=attempt.created
            )
        except NotReadyError as error:
            done = "created" if attempt.created else "updated"
            raise InitFailedError(
                f"{resource.kind} was {done}, but {error}" + "".join(f"\n  {line}" for line in error.details),
                resource_id=_id_of(error.live),
                properties=marshal(checkpoint(attempt.inputs, error.live, attempt.given, attempt.manager)),
            ) from None

    async def read(self, request: pb.ReadRequest) -> pb.ReadResponse:
        unreachable = await self.read_unreachable(request)
        if unreachable:
            return unreachable
        given = unmarshal(request.inputs)
        old = normalize(dashed(plain_map(given)))
        state = plain_map(unmarshal(request.properties))
        namespace, name = split_id(request.id)
        api_version, kind = _kind_of(old if "kind" in old else state, request.urn)
        try:
            resource = await self.client.resource(api_version, kind)
        except NoSuchKindError:
            return pb.ReadResponse()
        if resource.namespaced and not namespace:
            namespace = self.client.default_namespace
        live = await self.client.find(resource.path(namespace, name))
        if live is None:
            return pb.ReadResponse()
        manager = field_manager(old, state, request.urn)
        pruned = prune(live, old)
        inputs = pruned if isinstance(pruned, dict) and old else importable(live)
        properties = marshal(checkpoint(inputs, live, given, manager))
        new_inputs = marshal(annotated(inputs, given))
        problems = await problem_now(self.client, live, inputs) if old else []
        if problems:
            raise InitFailedError(
                problems[0], resource_id=request.id, properties=properties, inputs=new_inputs, reasons=problems[1:]
            )
        return pb.ReadResponse(id=request.id, properties=properties, inputs=new_inputs)

    async def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        given = unmarshal(request.news)
        inputs = normalize(dashed(plain_map(given)))
        state = plain_map(unmarshal(request.olds))
        manager = field_manager(inputs, state, request.urn)
        if request.preview:
            live = await self._preview(inputs, manager)
            if live is None:
                return pb.UpdateResponse(properties=request.news)
            return pb.UpdateResponse(properties=marshal(checkpoint(inputs, live, given, manager)))
        await self.require_cluster()
        resource = await self.client.resource(*_kind_of(inputs, request.urn))
        namespace, name = pluck_str(inputs, "metadata", "namespace"), pluck_str(inputs, "metadata", "name")
        path = resource.path(namespace, name)
        before = await self.client.find(path)
        if before is None:
            raise StandInError(
                f"{resource.kind} {join_id(namespace, name)!r} is not in the cluster any more; "
                "run pulumi refresh, then up"
            )
        before = await take_over(self.client, path, before, manager)
        keep_ignored(inputs, before, request.ignoreChanges)
        if resource.kind == "CustomResourceDefinition":
            body: JsonObject = {**inputs, "metadata": {**pluck_map(inputs, "metadata")}}
            pluck_map(body, "metadata")["resourceVersion"] = pluck_str(before, "metadata", "resourceVersion")
            live = await self.client.write("PUT", path, body, params={"fieldManager": manager})
        else:
            live = await apply(self.client, resource, inputs, manager, force=self._force(inputs, before))
        attempt = Attempt(request.urn, given, inputs, manager, request.timeout, created=False)
        live = await self._ready(resource, live, attempt)
        return pb.UpdateResponse(properties=marshal(checkpoint(inputs, live, given, manager)))

    async def delete(self, request: pb.DeleteRequest) -> None:
        if await self.dropped_unreachable(request):
            return
        state = plain_map(unmarshal(request.properties))
        inputs = pluck_map(state, INPUTS)
        namespace, name = split_id(request.id)
        try:
            resource = await self.client.resource(*_kind_of(state, request.urn))
        except NoSuchKindError:
            return
        path = resource.path(namespace, name)
        live = await self.client.find(path)
        if live is None:
            return
        if pluck_str(live, "metadata", "uid") in self._taken_over:
            # A forced replacement: its create found this very object and went on with it.
            await self.host.warn(
                request.urn, f"{resource.kind} {request.id!r} stays: its replacement is the same object"
            )
            return
        policy = annotation(inputs, PROPAGATION).capitalize()
        policy = policy if policy in {"Orphan", "Background"} else "Foreground"
        body: JsonObject = {"propagationPolicy": policy}
        try:
            await self.client.write("DELETE", path, body)
        except ApiError as error:
            if error.code == NOT_FOUND:
                return
            raise
        if annotation(inputs, SKIP_AWAIT) == "true" and resource.kind in SKIPS_ON_DELETE:
            return
        try:
            waiter = Waiter(self.host, self.client, request.urn)
            await waiter.until_gone(resource, live, timeout_of(inputs, request.timeout))
        except NotReadyError as error:
            given = unmarshal(request.properties)
            raise InitFailedError(
                str(error),
                resource_id=request.id,
                properties=marshal(checkpoint(inputs, error.live, given, pluck_str(state, FIELD_MANAGER))),
            ) from None


def _kind_of(inputs: JsonObject, urn: str) -> tuple[str, str]:
    """ApiVersion and kind, by the URN's token where the inputs do not say."""
    api_version, kind = pluck_str(inputs, "apiVersion"), pluck_str(inputs, "kind")
    if api_version and kind:
        return api_version, kind
    _, group_version, kind = token_of(urn).split(":")
    return group_version.removeprefix("core/"), kind


def _id_of(live: JsonObject) -> str:
    return join_id(pluck_str(live, "metadata", "namespace"), pluck_str(live, "metadata", "name"))


def _old_autoname(old: JsonObject) -> str:
    return pluck_str(old, "metadata", "name") if annotation(old, AUTONAMED) == "true" else ""


def normalize(inputs: JsonObject) -> JsonObject:
    """The inputs as the server will spell them: no read-only metadata, a Secret's stringData as data."""
    result = dict(inputs)
    metadata = result.get("metadata")
    if isinstance(metadata, dict):
        result["metadata"] = {key: value for key, value in metadata.items() if key not in READ_ONLY}
    kind = f"{pluck_str(result, 'apiVersion')}/{pluck_str(result, 'kind')}"
    if kind == "v1/Secret" and not has_unknown(result.get("stringData")) and result.get("data") != UNKNOWN:
        texts = pluck_map(result, "stringData")
        data = {key: _base64(value) for key, value in pluck_map(result, "data").items()}
        data |= {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
        result.pop("stringData", None)
        if data:
            result["data"] = data
    if kind == "apiextensions.k8s.io/v1/CustomResourceDefinition":
        result.pop("status", None)
    return result


def _base64(value: Json) -> Json:
    """In the server's spelling; what is no base64 is left for the server to refuse."""
    if not isinstance(value, str) or value == UNKNOWN:
        return value
    try:
        return base64.b64encode(base64.b64decode(value)).decode()
    except (binascii.Error, ValueError):
        return value


def importable(live: JsonObject) -> JsonObject:
    """Inputs for an object that the program did not know before."""
    inputs = normalize({key: value for key, value in live.items() if key != "status"})
    annotations = pluck_map(inputs, "metadata", "annotations")
    for server_made in ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"):
        annotations.pop(server_made, None)
    return inputs


def annotated(values: JsonObject, given: Properties) -> Properties:
    """The values, secret where the program's inputs were; a Secret's content always is."""
    shown = underscored(values)
    result = {key: annotate(value, given.get(key)) for key, value in shown.items()}
    if shown.get("kind") == "Secret":
        result |= {key: secret(shown[key]) for key in ("data", "stringData") if key in shown}
    return result


def checkpoint(inputs: JsonObject, live: JsonObject, given: Properties, manager: str) -> Properties:
    """The official plugin's state: the live object, and beside it the inputs that led to it."""
    result = annotated({key: value for key, value in live.items() if key not in BOOKKEEPING}, given)
    result[INPUTS] = PropertyValue(annotated(inputs, given))
    result[API_VERSION] = from_json(pluck_str(inputs, "apiVersion"))
    result[FIELD_MANAGER] = from_json(manager)
    return result


_DASHED: Final = {
    name.replace("-", "_"): name
    for name in (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
}
_UNDERSCORED: Final = {dashed: underscored for underscored, dashed in _DASHED.items()}


def dashed(inputs: JsonObject) -> JsonObject:
    """A program's names of schema fields as Kubernetes'."""
    return _renamed(inputs, _DASHED)


def underscored(live: JsonObject) -> JsonObject:
    return _renamed(live, _UNDERSCORED)


def _renamed(value: JsonObject, names: dict[str, str]) -> JsonObject:
    # Only these hold schemas, and looking through everything else would cost more than the rest of a diff.
    if value.get("kind") != "CustomResourceDefinition":
        return value
    return {key: _rename(item, names) for key, item in value.items()}


def _rename(value: Json, names: dict[str, str]) -> Json:
    match value:
        case dict():
            return {names.get(key, key): _rename(item, names) for key, item in value.items()}
        case list():
            return [_rename(item, names) for item in value]
        case _:
            return value
