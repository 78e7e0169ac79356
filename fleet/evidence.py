"""What the running processes of a cluster say of their keys, asked through its API server."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence

from fleet.clients import SecretKubeconfig, connected
from fleet.names import FACTS_JOB, HELD_KEYS_JOB, Tier, authority_number
from fleet.plan import Plan
from fleet.prometheus import Prometheus, Series, Unreachable, reached
from fleet.rotation import Evidence, Expected, HeldKey, Seen, asked_clusters, unconfirmed

Clients = Mapping[str, Prometheus | Unreachable]
"""By cluster."""


async def faults(plan: Plan, expected: Expected, secret: SecretKubeconfig) -> list[str]:
    """What of the expected is not confirmed, or why that is not known. Raises FleetError as `connected` does."""
    names = asked_clusters(plan, expected)
    clients = await asyncio.gather(*(connected(plan.cluster(name), secret) for name in names))
    return [*unconfirmed(plan, expected, await evidence(plan, dict(zip(names, clients, strict=True))))]


_FACTS = f'{{__name__=~"prometheus_fleet_.+",job="{FACTS_JOB}",cluster=""}}'
"""What other clusters send here has a `cluster`."""


async def evidence(plan: Plan, clients: Clients) -> Seen:
    told = await asyncio.gather(*(_cluster(plan, name, client) for name, client in clients.items()))
    return dict(zip(clients, told, strict=True))


async def _cluster(plan: Plan, name: str, client: Prometheus | Unreachable) -> Mapping[str, Evidence] | str:
    try:
        prometheus, facts = reached(client), dict[str, list[Series]]()
        held = await prometheus.dropped_targets(HELD_KEYS_JOB)
        if plan.cluster(name).tier is not Tier.EDGE:
            facts |= await prometheus.query_each(_FACTS)
        return {pod: pod_evidence(held[pod], facts.get(pod, [])) for pod in held}
    except Unreachable as error:
        return f"cannot be asked: {error}"
    except (LookupError, ValueError) as error:
        # Whoever may write samples there may have written these.
        return f"what it answers is not understood ({type(error).__name__})"


def pod_evidence(held: Sequence[Mapping[str, str]], facts: Sequence[Series]) -> Evidence:
    """Of the labels of a process's dropped targets, and of what it has scraped from its gateway."""

    def named(metric: str) -> list[Series]:
        return [each for each in facts if each.metric["__name__"] == f"prometheus_fleet_{metric}"]

    return Evidence(
        held=[_held_key(labels) for labels in held if "edge" in labels and "generation" in labels],
        accepted={each.metric["edge"]: int(each.value[1]) for each in named("accepted_generation")},
        trusted=_authorities(each.metric["name"] for each in named("trusted_authority")),
        shown=_authorities(each.metric["issuer"] for each in named("certificate_authority")),
    )


def _held_key(labels: Mapping[str, str]) -> HeldKey:
    trusts, signed_by = (frozenset(map(int, re.findall(r"\d+", labels.get(of, "")))) for of in ("trusts", "authority"))
    return HeldKey(labels["edge"], int(labels["generation"]), trusts, signed_by)


def _authorities(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if authority_number(name) is not None)
