"""Secrets that the page names and somebody else keeps: where each is expected, and what has to be in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel

from fleet.errors import dotted
from fleet.page import (
    Alerting,
    Application,
    BasicAuth,
    Bearer,
    Brought,
    ClientCertificate,
    OAuth2,
    ObjectStorage,
    Password,
    SigV4,
    Tls,
    UrlSecret,
)
from fleet.plan import Call, ClusterPlan, Plan, password_path

Path = tuple[str | int, ...]
Naming = Brought | ObjectStorage | Password | Tls | UrlSecret
"""Parts of the page that name a Secret, if they do, in their field `secret`."""
TLS_KEYS = ("tls.crt", "tls.key")
"""Of a Secret of type kubernetes.io/tls."""


@dataclass(frozen=True, slots=True)
class ExpectedSecret:
    cluster: str
    namespace: str
    name: str
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    """Of the page, which name it."""


def expected_secrets(plan: Plan) -> Sequence[ExpectedSecret]:
    """In the clusters that the plan deploys, each Secret once."""
    found: dict[tuple[str, str, str], ExpectedSecret] = {}
    for cluster in plan.clusters.values():
        for where, naming in _naming(plan, cluster):
            if naming.secret is None:
                continue
            # One that brings a password says where: it is read before there is a monitoring namespace.
            own = naming.namespace if isinstance(naming, Password) else None
            place = cluster.name, own or cluster.namespace, naming.secret
            known = found.get(place, ExpectedSecret(*place, (), ()))
            keys = dict.fromkeys((*known.keys, *_keys(naming)))
            fields = dict.fromkeys((*known.fields, dotted((*where, "secret"))))
            found[place] = ExpectedSecret(*place, tuple(keys), tuple(fields))
    return [*found.values()]


def _naming(plan: Plan, cluster: ClusterPlan) -> Iterator[tuple[Path, Naming]]:
    """What of the page concerns this cluster and may name a Secret, with its place on the page."""
    parts: dict[Path, object] = {}
    if cluster.gateway is not None:
        parts[cluster.gateway.tls_path] = cluster.gateway.tls
    for edge in cluster.destinations:
        parts["destinations", edge.name, "auth"] = edge.destination.auth
    for source in cluster.data_sources:
        parts["destinations", source.name, "read"] = source.reading
    is_top = isinstance(cluster.alertmanager, Alerting)
    parts[("alerting",) if is_top else ("clusters", cluster.name, "alertmanager")] = cluster.alertmanager
    parts["thanos",] = cluster.thanos
    parts["thanos", "objectStorage"] = cluster.bucket
    calls: Iterator[Call] = (call for call in (*plan.keyed, *cluster.readers) if call.lower == cluster.name)
    parts |= {password_path(call): call.key.brought for call in calls}
    for where, part in parts.items():
        yield from _within(part, where)


def _within(part: object, where: Path) -> Iterator[tuple[Path, Naming]]:
    if isinstance(part, Naming):
        yield where, part
    elif isinstance(part, BaseModel):
        for name, field in type(part).model_fields.items():
            yield from _within(getattr(part, name), (*where, field.alias or name))
    elif isinstance(part, tuple):
        for number, each in enumerate(cast("tuple[object, ...]", part)):
            yield from _within(each, (*where, number))


def _keys(naming: Naming) -> tuple[str, ...]:
    match naming:
        case BasicAuth():
            # A name that stands on the page is not in the Secret.
            return (*((naming.username_key,) if naming.username is None else ()), naming.password_key)
        case SigV4():
            return naming.access_key_id_key, naming.secret_access_key_key
        case ClientCertificate() | Tls():
            return TLS_KEYS
        case Application() | Bearer() | OAuth2() | ObjectStorage() | Password() | UrlSecret():
            return (naming.key,)
        case _:
            raise AssertionError(naming)
