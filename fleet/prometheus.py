"""A cluster's Prometheus, asked through its API server: whoever may use the kubeconfig may ask."""

import asyncio
import json
import warnings
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, cast

import httpx
import kr8s
import kr8s.asyncio
import yaml
from pydantic import BaseModel

from fleet.names import PROMETHEUS

ANSWER_SECONDS = 10
"""Within which an API server answers, or counts as out of reach."""

_FAILURES = (kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.HTTPError, OSError)


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


class _Api(Protocol):
    """The one call of kr8s's client that is used, which kr8s leaves partly untyped."""

    def call_api(
        self, method: str, *, url: str, params: Mapping[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]: ...


@dataclass(frozen=True, slots=True)
class Prometheus:
    cluster: str
    namespace: str
    api: _Api

    @classmethod
    async def connect(cls, cluster: str, namespace: str, kubeconfig: Path, context: str | None) -> Self:
        """Raises Unreachable where the API server does not answer."""
        # kr8s warns of servers newer than itself; nothing that is used here changes between versions.
        warnings.filterwarnings("ignore", message="Kubernetes version .* is not supported", module="kr8s")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), context=context)
        except (*_FAILURES, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
            raise Unreachable(f"API server of {cluster}: {error or type(error).__name__}") from None
        return cls(cluster, namespace, cast("_Api", api))

    async def query(self, promql: str) -> list[Series]:
        answer = await self._get(f"services/{PROMETHEUS}:9090/proxy/api/v1/query", {"query": promql})
        return _QueryAnswer.model_validate_json(answer).data.result

    async def targets(self, job: str) -> list[Target]:
        params = {"state": "active", "scrapePool": job}
        answer = await self._get(f"services/{PROMETHEUS}:9090/proxy/api/v1/targets", params)
        return _TargetsAnswer.model_validate_json(answer).data.activeTargets

    async def federate(self, match: str) -> str:
        """What a parent would be served for one `match[]`, in Prometheus's text format."""
        return await self._get(f"services/{PROMETHEUS}:9090/proxy/federate", {"match[]": match})

    async def log(self, lines: int) -> list[str]:
        """The last lines of Prometheus's container log, oldest first."""
        pods = await self._get("pods", {"labelSelector": f"operator.prometheus.io/name={PROMETHEUS}"})
        names: list[str] = [pod["metadata"]["name"] for pod in json.loads(pods)["items"]]
        params = {"container": "prometheus", "tailLines": str(lines)}
        return [line for name in names for line in (await self._get(f"pods/{name}/log", params)).splitlines()]

    async def _get(self, path: str, params: Mapping[str, str]) -> str:
        url = f"namespaces/{self.namespace}/{path}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self.api.call_api("GET", url=url, params=params) as response:
                return response.text
        except kr8s.ServerError as error:
            raise Unreachable(f"Prometheus of {self.cluster}: {error}") from None
        except _FAILURES as error:
            raise Unreachable(f"API server of {self.cluster}: {error or type(error).__name__}") from None


def reached(client: Prometheus | Unreachable) -> Prometheus:
    """Raises Unreachable where connecting had ended in that."""
    if isinstance(client, Unreachable):
        raise client
    return client
