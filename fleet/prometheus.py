"""A cluster's Prometheus, asked through its API server: whoever may use the kubeconfig may ask."""

import asyncio
import json
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Protocol, Self, cast

import httpx
import kr8s
import kr8s.asyncio
import yaml
from pydantic import BaseModel, TypeAdapter

from fleet.names import ALERTMANAGER, PROJECT, PROMETHEUS, RELEASE, THANOS_HTTP_PORT, thanos_workload

ANSWER_SECONDS = 10
"""Within which an API server answers, or counts as out of reach."""

FAILURES = (kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.HTTPError, OSError)


# What kr8s makes of a kubeconfig that is none, whose login fails, or whose user may not even ask for the version.
_REFUSALS = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, yaml.YAMLError, kr8s.ServerError)


class Unreachable(Exception):  # noqa: N818 (a state of the cluster, which callers report and go on)
    """The API server, or Prometheus behind it, does not answer. The text says which and why."""


class Series(BaseModel):
    metric: dict[str, str]
    value: tuple[float, float]
    """(Unix time of the evaluation, value)."""


class Target(BaseModel):
    health: str
    lastError: str  # noqa: N815 (Prometheus's name)


class _Vector(BaseModel):
    result: list[Series]


class _QueryAnswer(BaseModel):
    data: _Vector


class _ActiveTargets(BaseModel):
    activeTargets: list[Target]  # noqa: N815 (Prometheus's name)


class _TargetsAnswer(BaseModel):
    data: _ActiveTargets


class _ManagedFields(BaseModel):
    time: datetime


class _Metadata(BaseModel):
    creationTimestamp: datetime  # noqa: N815 (Kubernetes' name)
    managedFields: list[_ManagedFields] = []  # noqa: N815 (likewise)


class _MetadataAlone(BaseModel):
    metadata: _Metadata


class _DroppedTarget(BaseModel):
    discoveredLabels: dict[str, str]  # noqa: N815 (Prometheus's name)


class _DroppedTargets(BaseModel):
    droppedTargets: list[_DroppedTarget] = []  # noqa: N815 (likewise)


class _DroppedAnswer(BaseModel):
    data: _DroppedTargets


class FiringAlert(BaseModel):
    labels: dict[str, str]
    startsAt: datetime  # noqa: N815 (Alertmanager's name)


_FIRING = TypeAdapter(list[FiringAlert])


class _MetadataList(BaseModel):
    items: list[_MetadataAlone]


class _Api(Protocol):
    """The one call of kr8s's client that is used, which kr8s leaves partly untyped."""

    def call_api(
        self, method: str, *, url: str, params: Mapping[str, str], **where: str | Mapping[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]: ...


class _Auth(Protocol):
    client_key_file: str | Path | None
    client_cert_file: str | Path | None
    server_ca_file: str | Path | None


@dataclass(frozen=True, slots=True)
class Prometheus:
    cluster: str
    namespace: str
    api: _Api

    @classmethod
    async def connect(
        cls, cluster: str, namespace: str, kubeconfig: Path | Mapping[str, object], context: str | None
    ) -> Self:
        """`kubeconfig` is a file or its contents. Raises Unreachable where the API server does not answer."""
        # kr8s warns of servers newer than itself; nothing that is used here changes between versions.
        warnings.filterwarnings("ignore", message="Kubernetes version .* is not supported", module="kr8s")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                _own_temporary_folder()
                source = str(kubeconfig) if isinstance(kubeconfig, Path) else dict(kubeconfig)
                api = await kr8s.asyncio.api(kubeconfig=cast("str", source), context=context)
        except (*FAILURES, *_REFUSALS) as error:
            raise Unreachable(f"API server of {cluster}: {str(error) or type(error).__name__}") from None
        _remove_unpacked(cast("_Auth", api.auth))
        return cls(cluster, namespace, cast("_Api", api))

    async def query(self, promql: str) -> list[Series]:
        answer = await self._get(f"services/{PROMETHEUS}:9090/proxy/api/v1/query", {"query": promql})
        return _QueryAnswer.model_validate_json(answer).data.result

    async def query_thanos(self, promql: str) -> list[Series]:
        """Of the Thanos beside it. Raises Unreachable where there is none."""
        where = f"services/{thanos_workload('query')}:{THANOS_HTTP_PORT}"
        answer = await self._get(f"{where}/proxy/api/v1/query", {"query": promql})
        return _QueryAnswer.model_validate_json(answer).data.result

    async def targets(self, job: str) -> list[Target]:
        params = {"state": "active", "scrapePool": job}
        answer = await self._get(f"services/{PROMETHEUS}:9090/proxy/api/v1/targets", params)
        return _TargetsAnswer.model_validate_json(answer).data.activeTargets

    async def alerts(self) -> list[FiringAlert]:
        """What the Alertmanager beside it holds and does not mute. Raises Unreachable where there is none."""
        params = {"active": "true", "silenced": "false", "inhibited": "false", "unprocessed": "true"}
        return _FIRING.validate_json(await self._get(f"services/{ALERTMANAGER}:9093/proxy/api/v2/alerts", params))

    async def dropped_targets(self, job: str) -> Mapping[str, list[dict[str, str]]]:
        """Labels of what the job has found and does not scrape, by pod. Agents answer as well."""
        params = {"state": "dropped", "scrapePool": job}
        dropped = dict[str, list[dict[str, str]]]()
        for name in await self.pods():
            answer = await self._get(f"pods/{name}:9090/proxy/api/v1/targets", params)
            found = _DroppedAnswer.model_validate_json(answer).data.droppedTargets
            dropped[name] = [each.discoveredLabels for each in found]
        return dropped

    async def query_each(self, promql: str) -> Mapping[str, list[Series]]:
        """By pod: replicas have scraped for themselves. Agents answer no queries."""
        path = "9090/proxy/api/v1/query"
        answers = {name: await self._get(f"pods/{name}:{path}", {"query": promql}) for name in await self.pods()}
        return {name: _QueryAnswer.model_validate_json(answer).data.result for name, answer in answers.items()}

    async def federate(self, match: str) -> str:
        """What a parent would be served for one `match[]`, in Prometheus's text format."""
        return await self._get(f"services/{PROMETHEUS}:9090/proxy/federate", {"match[]": match})

    async def log(self, lines: int) -> list[str]:
        """The last lines of Prometheus's container log, oldest first."""
        params = {"container": "prometheus", "tailLines": str(lines)}
        logs = [await self._get(f"pods/{name}/log", params) for name in await self.pods()]
        return [line for log in logs for line in log.splitlines()]

    async def metrics(self) -> Mapping[str, str]:
        """What each server tells of itself, in Prometheus's text format, by pod."""
        return {name: await self._get(f"pods/{name}:9090/proxy/metrics", {}) for name in await self.pods()}

    async def declared(self, *, agent: bool) -> str:
        """The Prometheus or PrometheusAgent object with the operator's status, as JSON."""
        version, kind = ("v1alpha1", "prometheusagents") if agent else ("v1", "prometheuses")
        return await self._get(f"{kind}/{PROMETHEUS}", {}, base="/apis/monitoring.coreos.com", version=version)

    async def deployed(self) -> datetime | None:
        """When its release was last deployed, by the API server's clock; None where Helm keeps no record of it."""
        params = {"labelSelector": f"owner=helm,name={RELEASE},status=deployed"}
        # Without the records' contents, which are large and hold every value.
        without = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
        records = _MetadataList.model_validate_json(await self._get("secrets", params, headers=without)).items
        # Helm's own label `modifiedAt` is not to be trusted: an upgrade copies that of the release before.
        changes = [each.time for record in records for each in record.metadata.managedFields]
        return max([*changes, *(record.metadata.creationTimestamp for record in records)], default=None)

    async def pods(self) -> list[str]:
        pods = await self._get("pods", {"labelSelector": f"operator.prometheus.io/name={PROMETHEUS}"})
        return [pod["metadata"]["name"] for pod in json.loads(pods)["items"]]

    async def _get(self, path: str, params: Mapping[str, str], **where: str | Mapping[str, str]) -> str:
        url = f"namespaces/{self.namespace}/{path}"
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self.api.call_api("GET", url=url, params=params, **where) as response,
            ):
                return response.text
        except kr8s.ServerError as error:
            raise Unreachable(f"Prometheus of {self.cluster}: {error}") from None
        except TimeoutError:
            # The API server itself has answered before; one that NetworkPolicies keep from Prometheus waits in vain.
            message = (
                f"Prometheus of {self.cluster}: its API server had no answer from it within {ANSWER_SECONDS} s; where "
                "NetworkPolicies are enforced, `networkPolicies.apiServer` has to hold the API server's addresses"
            )
            raise Unreachable(message) from None
        except FAILURES as error:
            raise Unreachable(f"API server of {self.cluster}: {str(error) or type(error).__name__}") from None


def reached(client: Prometheus | Unreachable) -> Prometheus:
    """Raises Unreachable where connecting had ended in that."""
    if isinstance(client, Unreachable):
        raise client
    return client


@cache
def _own_temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """kr8s unpacks keys into temporary files and leaves them there: for this process they lie in a folder of its own.

    The folder goes with the process.
    """
    folder = tempfile.TemporaryDirectory(prefix=f"{PROJECT}-", ignore_cleanup_errors=True)
    tempfile.tempdir = folder.name
    return folder


def _remove_unpacked(auth: _Auth) -> None:
    """What is read by now; files that the user's kubeconfig names lie elsewhere."""
    for file in (auth.client_key_file, auth.client_cert_file, auth.server_ca_file):
        if file is not None and Path(file).parent == Path(_own_temporary_folder().name):
            Path(file).unlink(missing_ok=True)
