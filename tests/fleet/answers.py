"""Small fleets, and API servers that answer for them as real ones have answered."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import kr8s

from fleet.status import FleetOutput

FEDERATION = FleetOutput.model_validate(
    {
        "clusters": {"eu": {"namespace": "monitoring"}, "eu-1": {"namespace": "monitoring"}},
        "federation": [
            {
                "parent": "eu",
                "child": "eu-1",
                "job": "federate-eu-1",
                "metrics": ["cluster:a:sum", "cluster:b:sum"],
                "labels": {"cluster": "eu-1"},
                "fresh_within": 30,
            }
        ],
        "remote_write": [],
    }
)
DISCOVERY = FleetOutput.model_validate(
    {
        "clusters": {"eu": {"namespace": "monitoring"}},
        "federation": [],
        "discovery": [
            {
                **FEDERATION.federation[0].model_dump(),
                "child": "team-a",
                "job": "federate-auto-discover",
                "scrape_pool": "federate-auto-discover/team-a",
                "namespace": "shop",
                "port": "http-web",
                "service_labels": {"app.kubernetes.io/name": "prometheus", "cluster": "team-a"},
                "labels": {"cluster": "team-a"},
            }
        ],
        "remote_write": [],
    }
)
REMOTE_WRITE = FleetOutput.model_validate(
    {
        "clusters": {"hub": {"namespace": "monitoring"}, "shop": {"namespace": "monitoring"}},
        "federation": [],
        "remote_write": [
            {
                "sender": "shop",
                "receiver": "hub",
                "metrics": ["a_total"],
                "labels": {"cluster": "shop"},
                "fresh_within": 30,
            }
        ],
    }
)
STORES = FleetOutput.model_validate(
    {
        "clusters": {"hub": {"namespace": "monitoring"}, "shop": {"namespace": "monitoring"}},
        "federation": [],
        "remote_write": [],
        "stores": [
            {
                "sender": "shop",
                "receiver": "hub",
                "metrics": ["up"],
                "labels": {"cluster": "shop"},
                "fresh_within": 30,
            }
        ],
    }
)


FRESH = {"cluster:a:sum": 3.0, "cluster:b:sum": 5.0}
"""Seconds, by metric of the federated child."""


@dataclass
class FakeApi:
    """An API server before a Prometheus that has what the fields say."""

    ages: Mapping[str, float] = field(default_factory=dict)
    samples: float | None = 10
    last_error: str | None = ""
    """Of the edge's target; None where there is no target."""
    log: str = ""
    metrics: str = ""
    """What the Prometheus tells of itself."""
    alerts: Sequence[Mapping[str, str]] | None = ()
    """Labels of what fires; None where there is no Alertmanager."""
    silent: bool = False

    @asynccontextmanager
    async def call_api(self, _method: str, *, url: str, params: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        if self.silent:
            await asyncio.Event().wait()
        if url.endswith("/query"):
            yield self._answer(result=self._vector(params["query"]))
        elif url.endswith("/targets"):
            health = "down" if self.last_error else "up"
            targets = [] if self.last_error is None else [{"health": health, "lastError": self.last_error}]
            yield self._answer(activeTargets=targets)
        elif url.endswith("/alerts"):
            if self.alerts is None:
                raise kr8s.ServerError('services "kube-prometheus-stack-alertmanager" not found')
            known = {"startsAt": "2026-03-01T12:00:00.000Z", "status": {"state": "active"}}
            yield httpx.Response(200, json=[{"labels": labels, **known} for labels in self.alerts])
        elif url.endswith("/metrics"):
            yield httpx.Response(200, text=self.metrics)
        elif url.endswith("/log"):
            yield httpx.Response(200, text=self.log)
        else:
            yield httpx.Response(200, json={"items": [{"metadata": {"name": "prometheus-0"}}]})

    def _vector(self, promql: str) -> list[object]:
        if "timestamp" in promql:
            return [{"metric": {"of": name}, "value": [0, str(age)]} for name, age in self.ages.items()]
        if self.samples is None:
            return []
        if "scrape_duration_seconds" not in promql:
            return [{"metric": {}, "value": [0, str(self.samples)]}]
        noted = {"up": 0 if self.last_error else 1, "scrape_duration_seconds": 0.02}
        noted["scrape_samples_post_metric_relabeling"] = self.samples
        return [{"metric": {"__name__": name}, "value": [0, str(value)]} for name, value in noted.items()]

    @staticmethod
    def _answer(**data: object) -> httpx.Response:
        return httpx.Response(200, json={"status": "success", "data": data})
