"""A queue of remote write, as the operator's objects have it: to the fleet's own global Prometheus or to others.

Secrets are named. Those that the page takes from the stack's config, and what of a credential stands on the page
itself, lie in one Secret of the sender's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from fleet.duration import format_duration
from fleet.errors import FleetError, Problem
from fleet.keys import mounted, password_key, tls_keys, username_key
from fleet.names import DESTINATION_CREDENTIALS, PROJECT, REMOTE_WRITE_CREDENTIALS, REPLICA_LABEL
from fleet.page import AzureAd, Brought, Destination, OAuth2, SigV4
from fleet.plan import DestinationEdge, OwnWriteEdge, RemoteWriteEdge, WriteEdge
from fleet.queues import Queue

Fields = dict[str, object]
Part = Literal[
    "username",
    "password",
    "token",
    "client-id",
    "client-secret",
    "token-ca",
    "access-key-id",
    "secret-access-key",
    "ca",
    "crt",
    "key",
]


@dataclass(frozen=True, slots=True)
class InConfig:
    """A text that lies in the stack's config under `key`."""

    key: str


Source = str | InConfig
"""Where the program takes a text from that it lays into a sender's Secret: a `str` is the text."""


def write_queue(edge: WriteEdge, url: object, replica: int) -> Fields:
    """`url` may be an Output in the program; it is that of the receiver's replica of this number."""
    if isinstance(edge, OwnWriteEdge):
        to = edge.replicas[replica]
        fields: Fields = {"name": to.name, "url": url, **_own_fields(edge, to.server)}
    else:
        fields = {"name": edge.name, "url": url, **_auth(edge), **_tls(edge), **_asked_for(edge.destination)}
    fields["queueConfig"] = queue_config(edge.queue)
    if relabelling := [*_relabelling(edge)]:
        fields["writeRelabelConfigs"] = relabelling
    return fields


def _asked_for(destination: Destination) -> Fields:
    fields: Fields = {}
    if destination.headers:
        fields["headers"] = dict(destination.headers)
    if not destination.metadata:
        fields["metadataConfig"] = {"send": False}
    if destination.native_histograms:
        fields["sendNativeHistograms"] = True
    if destination.message_version != "V1.0":
        fields["messageVersion"] = destination.message_version
    return fields


def _own_fields(edge: OwnWriteEdge, server: str) -> Fields:
    basic_auth = {
        "username": {"name": REMOTE_WRITE_CREDENTIALS, "key": username_key(edge)},
        "password": {"name": REMOTE_WRITE_CREDENTIALS, "key": password_key(edge)},
    }
    files = {f"{field}File": mounted(edge, key) for field, key in tls_keys(edge).items()}
    return {
        **({"basicAuth": basic_auth} if edge.key.has_password else {}),
        # Of an edge whose page has them scraped; the rule for durations reads them at the top.
        "sendNativeHistograms": True,
        # By path: files whose contents change are read anew, and the queue goes on.
        "tlsConfig": {"serverName": server, "minVersion": "TLS12", **files},
    }


def _relabelling(edge: WriteEdge) -> Iterator[Fields]:
    if edge.keep:
        yield {"action": "keep", "sourceLabels": ["__name__"], "regex": "|".join(edge.keep)}
    for label, value in edge.labels.items():
        yield {"targetLabel": label, "replacement": value}
    if (label := replica_label(edge)) not in {None, REPLICA_LABEL}:
        yield {"sourceLabels": [REPLICA_LABEL], "targetLabel": label}
        yield {"action": "labeldrop", "regex": REPLICA_LABEL}
    if edge.region is None and edge.labels:
        # An application's own label must not count in another's region.
        yield {"action": "labeldrop", "regex": "region"}


def replica_label(edge: WriteEdge) -> str | None:
    """By which the receiver tells the sender's replicas apart; None where it need not."""
    return None if isinstance(edge, RemoteWriteEdge) else edge.replica_label


def queue_config(queue: Queue) -> Fields:
    """As the operator's objects have it."""
    given = {
        "capacity": queue.capacity,
        "maxSamplesPerSend": queue.max_samples_per_send,
        "minShards": queue.min_shards,
        "maxShards": queue.max_shards,
        "minBackoff": queue.min_backoff,
        "maxBackoff": queue.max_backoff,
        "batchSendDeadline": queue.batch_send_deadline,
        "sampleAgeLimit": queue.sample_age_limit,
    }
    # Without it, what a receiver has no room for is lost.
    return {**{key: _written(value) for key, value in given.items() if value is not None}, "retryOnRateLimit": True}


def _written(value: int | timedelta) -> object:
    return format_duration(value) if isinstance(value, timedelta) else value


def _auth(edge: DestinationEdge) -> Fields:
    auth = edge.destination.auth
    fields: Fields = {}
    if auth is None:
        return fields
    if (basic := auth.basic) is not None:
        known = _selector(edge, basic, basic.username_key, "username")
        username = known if basic.username is None else _ours(edge, "username")
        password = _selector(edge, basic, basic.password_key, "password")
        fields["basicAuth"] = {"username": username, "password": password}
    if (bearer := auth.bearer) is not None:
        fields["authorization"] = {"credentials": _selector(edge, bearer, bearer.key, "token")}
    if auth.oauth2 is not None:
        fields["oauth2"] = _oauth2(edge, auth.oauth2)
    if auth.sigv4 is not None:
        fields["sigv4"] = _sigv4(edge, auth.sigv4)
    if auth.azure_ad is not None:
        fields["azureAd"] = _azure_ad(edge, auth.azure_ad)
    return fields


def _oauth2(edge: DestinationEdge, oauth2: OAuth2) -> Fields:
    fields: Fields = {
        "clientId": {"secret": _ours(edge, "client-id")},
        "clientSecret": _selector(edge, oauth2, oauth2.key, "client-secret"),
        "tokenUrl": oauth2.token_url,
        "tlsConfig": {
            "minVersion": "TLS12",
            **({"ca": {"secret": _ours(edge, "token-ca")}} if oauth2.ca is not None else {}),
        },
    }
    if oauth2.scopes:
        fields["scopes"] = list(oauth2.scopes)
    if oauth2.endpoint_params:
        fields["endpointParams"] = dict(oauth2.endpoint_params)
    return fields


def _sigv4(edge: DestinationEdge, sigv4: SigV4) -> Fields:
    fields: Fields = {"region": edge.destination.aws_region}
    if sigv4.role_arn is not None:
        fields["roleArn"] = sigv4.role_arn
    if sigv4.external_id is not None:
        fields["externalId"] = sigv4.external_id
    if sigv4.secret is not None or sigv4.config is not None:
        fields["accessKey"] = _selector(edge, sigv4, sigv4.access_key_id_key, "access-key-id")
        fields["secretKey"] = _selector(edge, sigv4, sigv4.secret_access_key_key, "secret-access-key")
    return fields


def _azure_ad(edge: DestinationEdge, azure: AzureAd) -> Fields:
    fields: Fields = {"cloud": azure.cloud}
    if (managed := azure.managed_identity) is not None:
        fields["managedIdentity"] = managed.model_dump(by_alias=True, exclude_none=True)
    if (workload := azure.workload_identity) is not None:
        fields["workloadIdentity"] = workload.model_dump(by_alias=True)
    if (application := azure.oauth) is not None:
        fields["oauth"] = {
            "clientId": application.client_id,
            "tenantId": application.tenant_id,
            "clientSecret": _selector(edge, application, application.key, "client-secret"),
        }
    if (sdk := azure.sdk) is not None:
        fields["sdk"] = sdk.model_dump(by_alias=True, exclude_none=True)
    return fields


def _tls(edge: DestinationEdge) -> Fields:
    destination = edge.destination
    if destination.url.startswith("http:"):
        return {}
    tls: Fields = {"minVersion": destination.tls.min_version}
    if destination.tls.server_name is not None:
        tls["serverName"] = destination.tls.server_name
    if destination.tls.ca is not None:
        tls["ca"] = {"secret": _ours(edge, "ca")}
    if destination.auth is not None and (mtls := destination.auth.mtls) is not None:
        tls["cert"] = {"secret": _selector(edge, mtls, "tls.crt", "crt")}
        tls["keySecret"] = _selector(edge, mtls, "tls.key", "key")
    return {"tlsConfig": tls}


def _selector(edge: DestinationEdge, brought: Brought, key: str, part: Part) -> Fields:
    """Of a credential: `key` of somebody's Secret, or the part in the sender's own."""
    return {"name": brought.secret, "key": key} if brought.secret is not None else _ours(edge, part)


def _ours(edge: DestinationEdge, part: Part) -> Fields:
    return {"name": DESTINATION_CREDENTIALS, "key": held_key(edge, part)}


def held_key(edge: DestinationEdge, part: Part) -> str:
    """Of the sender's Secret: no destination's name has a dot."""
    return f"{edge.name}.{part}"


def held_sources(edge: DestinationEdge) -> Mapping[str, Source]:
    """What the sender's own Secret has to hold for it, by key; empty where others keep all of it."""
    return {held_key(edge, part): source for part, source in _sources(edge.destination)}


def _sources(destination: Destination) -> Iterator[tuple[Part, Source]]:
    if destination.tls.ca is not None:
        yield "ca", destination.tls.ca
    auth = destination.auth
    if auth is None:
        return
    if auth.basic is not None:
        if auth.basic.username is not None:
            yield "username", auth.basic.username
        yield from _configured("password", auth.basic)
    yield from _configured("token", auth.bearer)
    if auth.oauth2 is not None:
        yield "client-id", auth.oauth2.client_id
        if auth.oauth2.ca is not None:
            yield "token-ca", auth.oauth2.ca
        yield from _configured("client-secret", auth.oauth2)
    if auth.sigv4 is not None and auth.sigv4.access_key_id is not None:
        yield "access-key-id", auth.sigv4.access_key_id
        yield from _configured("secret-access-key", auth.sigv4)
    if auth.azure_ad is not None:
        yield from _configured("client-secret", auth.azure_ad.oauth)
    if auth.mtls is not None and auth.mtls.certificate is not None:
        yield "crt", auth.mtls.certificate
        yield from _configured("key", auth.mtls)


def _configured(part: Part, brought: Brought | None) -> Iterator[tuple[Part, Source]]:
    if brought is not None and brought.config is not None:
        yield part, InConfig(brought.config)


def text_in_config(edge: DestinationEdge, key: str, source: InConfig, text: str) -> str:
    """`text` itself, which the stack's config holds. Raises FleetError where it would not do; says nothing of it."""
    where = f"config key {PROJECT}:{source.key}"
    if not text.strip():
        message = f"{where} is empty"
    elif text != text.strip() and not key.endswith(".key"):
        message = f"{where} begins or ends with a blank or a newline, which would be part of what is shown"
    else:
        return text
    fix = f"pulumi config set --secret {PROJECT}:{source.key}"
    raise FleetError([Problem(f"destinations.{edge.name}.auth", message, fix)])
