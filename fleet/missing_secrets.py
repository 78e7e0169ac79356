"""Which of the Secrets that the page names a cluster lacks. No value is kept or told, and few are read at all."""

import asyncio
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

from fleet.clients import SecretKubeconfig, connected
from fleet.drift.api import Kind, Objects, Refused
from fleet.drift.drift import JsonObject
from fleet.drift.fields import managers
from fleet.errors import FleetError, Problem
from fleet.names import top_urn
from fleet.page.problems import did_you_mean
from fleet.plan import ClusterPlan, Plan
from fleet.prometheus import Unreachable, reached
from fleet.secrets import TLS_KEYS, ExpectedSecret, expected_secrets

_AT_ONCE = 8
"""Clusters: of many more, this process would let answers wait until their time has run out."""

_SECRET = Kind("v1", "Secret", "secrets", namespaced=True)
_NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)


async def missing_secrets(plan: Plan, stack: str, secret: SecretKubeconfig) -> list[Problem]:
    """Of what `stack` deploys, which is the plan. What cannot be asked is a problem of its own."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(cluster: ClusterPlan, expected: Sequence[ExpectedSecret]) -> list[Problem]:
        async with slots:
            try:
                objects = Objects(reached(await connected(cluster, secret)))
                return await _Asked(cluster, stack, objects).problems(expected)
            except Unreachable as error:
                return [Problem(f"clusters.{cluster.name}", f"cannot be asked for its Secrets: {error}")]
            except FleetError as error:
                return [*error.problems]

    by_cluster = groupby(expected_secrets(plan), key=lambda each: each.cluster)
    found = await asyncio.gather(*(one(plan.clusters[name], [*expected]) for name, expected in by_cluster))
    return _once(found)


def _once(found: Sequence[Sequence[Problem]]) -> list[Problem]:
    """What keeps several from being asked, or from being there, is told with the first of them."""
    return [*dict.fromkeys(problem for each in found for problem in each)]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Everything raises Unreachable."""

    cluster: ClusterPlan
    stack: str
    objects: Objects

    async def problems(self, expected: Sequence[ExpectedSecret]) -> list[Problem]:
        return _once(await asyncio.gather(*map(self._problems, expected)))

    async def _problems(self, expected: ExpectedSecret) -> list[Problem]:
        fields = ", ".join(expected.fields)
        what = f"Secret {expected.namespace}/{expected.name} of cluster {expected.cluster}"
        try:
            keys = await self._keys(expected)
            why_missing = await self._without_namespace(expected.namespace) if keys is None else []
        except Refused as error:
            return [Problem(f"clusters.{expected.cluster}", f"{what} cannot be looked for: {error}")]
        if keys is None:
            missing = Problem(fields, f"{what} is not there", self._created(expected))
            return [*why_missing, missing]
        lacking = [key for key in expected.keys if key not in keys]
        if not lacking:
            return []
        there = f"its keys are {', '.join(sorted(keys))}" if keys else "it is empty"
        message = f"{what} has no key {' and no key '.join(lacking)}: {there}{did_you_mean(lacking[0], keys)}"
        return [Problem(fields, message, self._added(expected, lacking))]

    async def _keys(self, expected: ExpectedSecret) -> Collection[str] | None:
        """Those that are there, as far as that matters; None where there is no such Secret. Raises Refused."""
        place = _SECRET, expected.namespace, expected.name
        # Without its contents: the API server notes who has set which key, and that says mostly all.
        head = await self.objects.find(*place, metadata_alone=True)
        if head is None:
            return None
        noted = frozenset(path for each in managers(head) for path in each.fields)
        if all(("f:data", f"f:{key}") in noted for key in expected.keys):
            return expected.keys
        whole = await self.objects.find(*place)
        return None if whole is None else tuple(cast("JsonObject", whole.get("data") or {}))

    async def _without_namespace(self, name: str) -> list[Problem]:
        """Why there is no Secret, where that is it; none where it is there, or nobody may know."""
        try:
            if await self.objects.find(_NAMESPACE, "", name) is not None:
                return []
        except Refused:
            return []
        fix = f"{_kubectl(self.cluster)} create namespace {name}"
        if name == self.cluster.namespace:
            made = {"pulumi:providers:kubernetes": "", "kubernetes:core/v1:Namespace": "-namespace"}
            urns = (top_urn(self.stack, kind, f"{self.cluster.name}{suffix}") for kind, suffix in made.items())
            fix = (
                "# Pulumi makes it, and refuses one that somebody else has made; this makes it alone\n"
                f"pulumi up --stack {self.stack} {' '.join(f'--target {urn}' for urn in urns)}"
            )
        return [
            Problem(f"clusters.{self.cluster.name}", f"there is no namespace {name} yet, where Secrets belong", fix)
        ]

    def _created(self, expected: ExpectedSecret) -> str:
        kind, given = "generic", [f"--from-file={key}=FILE" for key in expected.keys]
        if expected.keys == TLS_KEYS:
            kind, given = "tls", ["--cert=FILE", "--key=FILE"]
        return f"{_kubectl(self.cluster, expected.namespace)} create secret {kind} {expected.name} {' '.join(given)}"

    def _added(self, expected: ExpectedSecret, keys: Sequence[str]) -> str:
        kubectl = _kubectl(self.cluster, expected.namespace)
        given = " ".join(f"--from-file={key}=FILE" for key in keys)
        # Not the type, which nobody can change.
        data_alone = "--dry-run=client --output='jsonpath=data: {.data}'"
        return (
            "# where a controller keeps this Secret, add the key there: its next sync would take this one out\n"
            f"{kubectl} create secret generic {expected.name} {given} {data_alone} |\n"
            f"  {kubectl} patch secret {expected.name} --patch-file=/dev/stdin"
        )


def _kubectl(cluster: ClusterPlan, namespace: str = "") -> str:
    kubeconfig = str(cluster.kubeconfig.expanduser()) if cluster.kubeconfig is not None else ""
    given = {"kubeconfig": kubeconfig, "context": cluster.context, "namespace": namespace}
    return " ".join(["kubectl", *(f"--{name} {shlex.quote(value)}" for name, value in given.items() if value)])
