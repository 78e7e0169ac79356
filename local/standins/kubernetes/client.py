"""The API server as the stand-in needs it: discovery, one object, lists, watches and logs."""

import asyncio
import json
import os
import ssl
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from local.standins.host import StandInError
from local.standins.kubernetes.config import Kubeconfig, Settings, load_kubeconfig
from local.standins.properties import Json, JsonObject, pluck, pluck_list, pluck_str

if TYPE_CHECKING:
    import httpx

APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
CONNECT_SECONDS: Final = 10.0
NOT_FOUND: Final = 404
CONFLICT: Final = 409
WATCH_SECONDS: Final = 240
"""After which the server ends a watch and the caller looks again."""

CLUSTER_SCOPED: Final = {
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
}
"""For previews without the cluster; a reachable one is asked."""


class UnreachableError(StandInError):
    """The API server could not be asked at all."""


class NoSuchKindError(StandInError):
    """The API server does not serve this apiVersion and kind (yet)."""


class ApiError(StandInError):
    """The API server's refusal; `status` is its Status object."""

    def __init__(self, code: int, status: JsonObject) -> None:
        super().__init__(pluck_str(status, "message") or f"HTTP status {code}")
        self.code = code
        self.status = status

    @property
    def reason(self) -> str:
        return pluck_str(self.status, "reason")


@dataclass(frozen=True)
class Resource:
    """Where objects of one kind live."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """An empty namespace means all of them."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Client:
    """Connects on first use: most plugin processes of a preview never need to."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._kubeconfig: Kubeconfig | StandInError | None = None
        self._http: httpx.AsyncClient | None = None
        self._reachable: asyncio.Future[str] | None = None
        self._resources: dict[str, dict[str, Resource]] = {}

    @property
    def kubeconfig(self) -> Kubeconfig:
        """Raises StandInError where it is unusable."""
        if self._kubeconfig is None:
            try:
                self._kubeconfig = load_kubeconfig(self.settings)
            except StandInError as error:
                self._kubeconfig = error
        if isinstance(self._kubeconfig, StandInError):
            raise self._kubeconfig
        return self._kubeconfig

    @property
    def default_namespace(self) -> str:
        try:
            return self.kubeconfig.namespace
        except StandInError:
            return self.settings.namespace or "default"

    async def why_unreachable(self) -> str:
        """Empty where the cluster answers; asked once."""
        if self._reachable is None:
            self._reachable = asyncio.ensure_future(self._probe())
        return await asyncio.shield(self._reachable)

    async def _probe(self) -> str:
        try:
            await self.get("/version")
        except StandInError as error:
            return str(error)
        return ""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> "httpx.Response":
        """Raises UnreachableError, or ApiError for any status of 400 and above."""
        import httpx  # noqa: PLC0415 - heavy, and not every process needs it

        http = self._connection()
        try:
            answer = await http.request(
                method,
                path,
                params=params,
                content=json.dumps(body).encode() if body is not None else None,
                headers={"Accept": accept, "Content-Type": content_type},
            )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        if answer.is_error:
            raise _api_error(answer.status_code, answer.text)
        return answer

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, accept: str = "application/json"
    ) -> JsonObject:
        answer = await self.request("GET", path, params=params, accept=accept)
        return cast("JsonObject", answer.json())

    async def find(self, path: str) -> JsonObject | None:
        """None where there is no such object."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def write(
        self,
        method: str,
        path: str,
        body: Json,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        answer = await self.request(method, path, params=params, body=body, content_type=content_type)
        return cast("JsonObject", answer.json())

    async def watch(self, resource: Resource, namespace: str, name: str) -> AsyncGenerator[JsonObject | None]:
        """The object now and after every change, None once it is gone; without end."""
        while True:
            current = await self.find(resource.path(namespace, name))
            yield current
            version = pluck_str(current, "metadata", "resourceVersion")
            params = {
                "watch": "1",
                "fieldSelector": f"metadata.name={name}",
                "timeoutSeconds": str(WATCH_SECONDS),
                **({"resourceVersion": version} if version else {}),
            }
            try:
                async for event in self._events(resource.path(namespace), params):
                    kind = pluck_str(event, "type")
                    if kind == "ERROR":
                        break
                    yield None if kind == "DELETED" else cast("JsonObject", pluck(event, "object"))
            except UnreachableError:
                # A dropped connection; where the server is really gone, the next look says so.
                continue

    async def _events(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[JsonObject]:
        import httpx  # noqa: PLC0415 - heavy, and not every process needs it

        timeout = httpx.Timeout(CONNECT_SECONDS, read=WATCH_SECONDS + CONNECT_SECONDS)
        try:
            async with self._connection().stream("GET", path, params=params, timeout=timeout) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise _api_error(answer.status_code, answer.text)
                async for line in answer.aiter_lines():
                    if line.strip():
                        yield cast("JsonObject", json.loads(line))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Raises NoSuchKindError where the server has no such kind; what it lacks is asked for anew each time."""
        known = self._resources.get(api_version, {})
        if kind not in known:
            known = await self._discover(api_version)
            self._resources[api_version] = known
        if kind not in known:
            raise NoSuchKindError(
                f"the API server does not serve {kind} of {api_version}; is its CustomResourceDefinition installed?"
            )
        return known[kind]

    async def _discover(self, api_version: str) -> dict[str, Resource]:
        found = await self.find(f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}")
        return {
            pluck_str(item, "kind"): Resource(
                api_version=api_version,
                kind=pluck_str(item, "kind"),
                plural=pluck_str(item, "name"),
                namespaced=pluck(item, "namespaced") is True,
            )
            for item in pluck_list(found, "resources")
            if "/" not in pluck_str(item, "name")
        }

    async def namespaced(self, api_version: str, kind: str) -> bool:
        """By the built-in table where the cluster cannot tell; a kind that is nowhere known counts as namespaced."""
        try:
            return (await self.resource(api_version, kind)).namespaced
        except StandInError:
            return kind not in CLUSTER_SCOPED

    def _connection(self) -> "httpx.AsyncClient":
        import httpx  # noqa: PLC0415 - heavy, and not every process needs it

        if self._http is None:
            config = self.kubeconfig
            self._http = httpx.AsyncClient(
                base_url=config.server,
                verify=_tls(config),
                headers={"Authorization": f"Bearer {config.token}"} if config.token else None,
                auth=(config.username, config.password) if config.username else None,
                proxy=config.proxy or None,
                trust_env=not config.proxy,
                timeout=httpx.Timeout(self.settings.request_timeout, connect=CONNECT_SECONDS),
            )
        return self._http

    def _unreachable(self, error: Exception) -> UnreachableError:
        reason = str(error) or type(error).__name__
        return UnreachableError(
            f"the Kubernetes API server at {self.kubeconfig.server} cannot be reached: {reason}; "
            "check that the cluster runs and that the provider's kubeconfig names it"
        )


def _api_error(code: int, text: str) -> ApiError:
    try:
        status = cast("Json", json.loads(text))
    except ValueError:
        status = None
    return ApiError(code, status if isinstance(status, dict) else {"message": f"HTTP status {code}: {text[:200]}"})


def _tls(config: Kubeconfig) -> ssl.SSLContext | bool:
    if not config.server.startswith("https:"):
        return True
    context = ssl.create_default_context(cadata=config.ca or None)
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate and config.key:
        # The ssl module takes a key from a file only; mkstemp's mode is 0600.
        handle, path = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"{config.certificate}\n{config.key}")
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise StandInError(f"the kubeconfig's client certificate and key do not fit: {error.reason}") from None
        finally:
            Path(path).unlink()
    return context
