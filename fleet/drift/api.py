"""The objects of one cluster, as its API server has them and as it would have them. Nothing is ever changed."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar, cast

import kr8s
from pydantic import BaseModel, Field, ValidationError

from fleet.drift.drift import JsonObject
from fleet.prometheus import ANSWER_SECONDS, FAILURES, Prometheus, Unreachable

_NOT_FOUND, _INVALID = 404, 422
_JSON = "application/json"
_METADATA_ALONE = f"{_JSON};g=meta.k8s.io;v=v1;as=PartialObjectMetadata"
_AT_ONCE = 8
"""Questions to one API server."""
_Form = TypeVar("_Form", bound=BaseModel)


class Refused(Exception):  # noqa: N818 (an answer, which callers report and go on)
    """The API server answers, but not with what was asked for. The text may quote what it was sent."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.is_invalid = status == _INVALID
        """Whether there can be no such object, or what is there cannot become it."""


class _Resource(BaseModel):
    name: str
    kind: str
    namespaced: bool


class _Resources(BaseModel):
    resources: list[_Resource]


class _Listed(BaseModel):
    items: list[dict[str, object]]


class _Metadata(BaseModel):
    managed_fields: list[dict[str, object]] = Field(default=[], alias="managedFields")


class _Object(BaseModel):
    """What is relied on of any."""

    metadata: _Metadata


@dataclass(frozen=True, slots=True)
class Kind:
    api_version: str
    kind: str
    plural: str
    namespaced: bool


@dataclass
class Objects:
    """Everything raises Unreachable, and Refused."""

    client: Prometheus
    _kinds: dict[str, asyncio.Task[Mapping[str, Kind]]] = field(
        default_factory=dict[str, asyncio.Task[Mapping[str, Kind]]]
    )
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def kind(self, api_version: str, kind: str) -> Kind | None:
        """None where the cluster has no such kind."""
        if api_version not in self._kinds:
            self._kinds[api_version] = asyncio.create_task(self._discover(api_version))
        return (await self._kinds[api_version]).get(kind)

    async def listed(
        self, kind: Kind, namespace: str, selector: str = "", *, metadata_alone: bool = False
    ) -> list[JsonObject]:
        params = {"labelSelector": selector} if selector else {}
        accept = f"{_METADATA_ALONE}List" if metadata_alone else _JSON
        path = f"namespaces/{namespace}/{kind.plural}"
        found = await self._ask("GET", kind.api_version, path, params=params, headers={"Accept": accept})
        # A list says of its items neither.
        head = {"apiVersion": kind.api_version, "kind": kind.kind}
        items = _understood(_Listed, found or '{"items": []}').items
        return [cast("JsonObject", {**head, **item}) for item in items]

    async def find(self, kind: Kind, namespace: str, name: str, *, metadata_alone: bool = False) -> JsonObject | None:
        headers = {"Accept": _METADATA_ALONE if metadata_alone else _JSON}
        found = await self._ask("GET", kind.api_version, _path(kind, namespace, name), headers=headers)
        return None if found is None else _object(found)

    async def tried(self, kind: Kind, namespace: str, wanted: JsonObject, manager: str) -> JsonObject:
        """What the object would be if `manager` applied `wanted` now, with all that the API server makes of it."""
        name = cast("str", cast("JsonObject", wanted["metadata"])["name"])
        params = {"dryRun": "All", "force": "true", "fieldManager": manager}
        path, header = _path(kind, namespace, name), {"Content-Type": "application/apply-patch+yaml"}
        found = await self._ask(
            "PATCH", kind.api_version, path, params=params, headers=header, content=json.dumps(wanted)
        )
        if found is None:
            raise Refused("it has gone meanwhile")
        return _object(found)

    async def _discover(self, api_version: str) -> Mapping[str, Kind]:
        found = await self._ask("GET", api_version, "")
        resources = _understood(_Resources, found).resources if found is not None else []
        return {
            each.kind: Kind(api_version, each.kind, each.name, each.namespaced)
            for each in resources
            if "/" not in each.name
        }

    async def _ask(
        self,
        method: str,
        api_version: str,
        path: str,
        *,
        params: Mapping[str, str] = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
        content: str = "",
    ) -> str | None:
        """None where there is no such thing."""
        group, _, version = api_version.rpartition("/")
        base = {"base": f"/apis/{group}"} if group else {}
        try:
            async with (
                self._slots,
                asyncio.timeout(ANSWER_SECONDS),
                self.client.api.call_api(
                    method, url=path, params=params, version=version, headers=headers, content=content, **base
                ) as response,
            ):
                return response.text
        except kr8s.ServerError as error:
            status = error.response.status_code if error.response is not None else 0
            if status == _NOT_FOUND:
                return None
            raise Refused(str(error), status) from None
        except (*FAILURES, TimeoutError) as error:
            raise Unreachable(f"API server of {self.client.cluster}: {str(error) or type(error).__name__}") from None


def _object(text: str) -> JsonObject:
    _understood(_Object, text)
    return cast("JsonObject", json.loads(text))


def _understood(form: type[_Form], text: str) -> _Form:
    """Not always what an API server says: something between may answer in its place."""
    try:
        return form.model_validate_json(text)
    except ValidationError:
        # Without what it was, which may hold a secret.
        raise Refused("what it answers is not understood") from None


def _path(kind: Kind, namespace: str, name: str) -> str:
    return f"namespaces/{namespace}/{kind.plural}/{name}" if kind.namespaced else f"{kind.plural}/{name}"
