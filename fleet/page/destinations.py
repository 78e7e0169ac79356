"""Receivers of remote write outside of the fleet: of which kind, how a sender shows who it is, what is sent there."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

from fleet.duration import Duration, format_duration
from fleet.names import REPLICA_LABEL
from fleet.page.fields import Host, MetricPatterns, Names, Pem, SecretKey, SecretName, Tenant, Url, Uuid
from fleet.page.shape import Strict, wrong

Kind = Literal[
    "amazon",
    "azure",
    "cortex",
    "generic",
    "google",
    "grafana-cloud",
    "mimir",
    "prometheus",
    "thanos",
    "victoriametrics",
]

Count = Annotated[int, Field(ge=1, strict=True)]


class Brought(Strict):
    """A credential: in a Secret that the senders have, or in the stack's config."""

    secret: SecretName | None = Field(default=None, examples=["long-term-storage"])
    """A Secret that exists in each sender's monitoring namespace."""
    config: str | None = Field(default=None, min_length=1, examples=["mimir-password"])
    """Name of another config key, a Pulumi secret; the program lays it into a Secret of each sender."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.secret is not None and self.config is not None:
            raise wrong("config", "secret and config exclude each other: a credential comes from one place")
        if self.secret is None and self.config is None and not self._may_lack():
            raise wrong("secret", "is missing, or config instead of it", "long-term-storage")
        for name in sorted(self.model_fields_set):
            if self.secret is None and (name == "key" or name.endswith("_key")):
                raise wrong(to_camel(name), "has no meaning without secret: it is a key of that")
        return self

    def _may_lack(self) -> bool:
        """Whether a sender may also know by itself what to show."""
        return False


class BasicAuth(Brought):
    username: str | None = Field(default=None, min_length=1, examples=["123456"])
    """In clear, beside a password in the config, or one that stands alone in its Secret."""
    username_key: SecretKey = "username"
    password_key: SecretKey = "password"  # noqa: S105 (the name of a key)

    @model_validator(mode="after")
    def _one_username(self) -> Self:
        if self.config is not None and self.username is None:
            raise wrong("username", "is missing: config holds the password alone", "123456")
        if self.username is not None and "username_key" in self.model_fields_set:
            raise wrong("usernameKey", "has no meaning beside username: it comes from one place")
        return self


class Bearer(Brought):
    key: SecretKey = "token"


class OAuth2(Brought):
    """A token of one's own for a while, asked for with the client's secret (grant type client_credentials)."""

    client_id: str = Field(min_length=1, examples=["prometheus"])
    token_url: Url = Field(examples=["https://login.example.com/oauth2/token"])
    scopes: tuple[str, ...] = Field(default=(), examples=[["metrics.write"]])
    endpoint_params: dict[str, str] = Field(default={}, examples=[{"audience": "metrics"}])
    """Further parameters of the question for a token; none may be a secret."""
    ca: Pem | None = None
    """Authorities that may have signed the certificate of who gives the token, as PEM; everybody's where absent."""
    key: SecretKey = "client-secret"

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if urlsplit(self.token_url).scheme != "https":
            raise wrong("tokenUrl", "the client's secret would travel in clear", _with_scheme(self.token_url, "https"))
        return self


_A_ROLE = "arn:aws:iam::123456789012:role/metrics"


class SigV4(Brought):
    """As AWS is asked. With neither secret nor config, by what the pod itself is (IRSA, Pod Identity, its node)."""

    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$", examples=["eu-central-1"])
    """Where absent, that in the URL of kind amazon."""
    role_arn: str | None = Field(default=None, pattern=r"^arn:[a-z-]+:iam::\d+:role/.+$", examples=[_A_ROLE])
    """A role that the sender takes on to write."""
    external_id: str | None = Field(default=None, min_length=1, examples=["prometheus-fleet"])
    access_key_id: str | None = Field(default=None, pattern=r"^[A-Z0-9]{16,128}$", examples=["AKIAIOSFODNN7EXAMPLE"])
    """In clear, beside the secret access key in the config."""
    access_key_id_key: SecretKey = "access-key-id"
    secret_access_key_key: SecretKey = "secret-access-key"  # noqa: S105 (the name of a key)

    def _may_lack(self) -> bool:
        return self.access_key_id is None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.config is not None and self.access_key_id is None:
            raise wrong("accessKeyId", "is missing: config holds the secret access key alone", "AKIAIOSFODNN7EXAMPLE")
        if self.secret is not None and self.access_key_id is not None:
            raise wrong("accessKeyId", "has no meaning beside secret, which holds it")
        if self.external_id is not None and self.role_arn is None:
            raise wrong("roleArn", "is missing: externalId is shown to a role", _A_ROLE)
        return self


class ManagedIdentity(Strict):
    client_id: Uuid | None = Field(default=None, examples=["00000000-0000-0000-0000-000000000000"])
    """Of one that a user has assigned; the node's own where absent."""


class WorkloadIdentity(Strict):
    client_id: Uuid = Field(examples=["00000000-0000-0000-0000-000000000000"])
    tenant_id: Uuid = Field(examples=["11111111-1111-1111-1111-111111111111"])


class Application(Brought):
    """One that is registered with Entra ID."""

    client_id: Uuid = Field(examples=["00000000-0000-0000-0000-000000000000"])
    tenant_id: Uuid = Field(examples=["11111111-1111-1111-1111-111111111111"])
    key: SecretKey = "client-secret"


class Sdk(Strict):
    """Whatever Azure's SDK finds in the pod."""

    tenant_id: Uuid | None = Field(default=None, examples=["11111111-1111-1111-1111-111111111111"])


class AzureAd(Strict):
    """By one of four ways in which Entra ID knows somebody."""

    cloud: Literal["AzurePublic", "AzureChina", "AzureGovernment"] = "AzurePublic"
    managed_identity: ManagedIdentity | None = Field(default=None, examples=[{}])
    workload_identity: WorkloadIdentity | None = Field(
        default=None,
        examples=[
            {"clientId": "00000000-0000-0000-0000-000000000000", "tenantId": "11111111-1111-1111-1111-111111111111"}
        ],
    )
    oauth: Application | None = None
    sdk: Sdk | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = ("managed_identity", "workload_identity", "oauth", "sdk")
        _refuse_several(self, ways, "Entra ID knows a sender in one of these ways")
        if all(getattr(self, way) is None for way in ways):
            raise wrong("managedIdentity", "is missing, or workloadIdentity, oauth or sdk instead of it", {})
        return self


class ClientCertificate(Brought):
    """Shown within TLS. A Secret of it is of type kubernetes.io/tls."""

    certificate: Pem | None = None
    """As PEM, beside its key in the config."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.config is not None and self.certificate is None:
            raise wrong("certificate", "is missing: config holds its key alone")
        if self.secret is not None and self.certificate is not None:
            raise wrong("certificate", "has no meaning beside secret, which holds it")
        return self


class WriterAuth(Strict):
    """How a sender shows who it is: in one way, and with a certificate as well where that is asked for."""

    basic: BasicAuth | None = Field(default=None, examples=[{"secret": "long-term-storage"}])
    bearer: Bearer | None = Field(default=None, examples=[{"secret": "long-term-storage"}])
    oauth2: OAuth2 | None = Field(
        default=None,
        examples=[{"secret": "oauth", "clientId": "prometheus", "tokenUrl": "https://login.example.com/oauth2/token"}],
    )
    sigv4: SigV4 | None = Field(default=None, examples=[{}])
    azure_ad: AzureAd | None = Field(default=None, examples=[{"managedIdentity": {}}])
    mtls: ClientCertificate | None = Field(default=None, examples=[{"secret": "client-certificate"}])

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        _refuse_several(self, _WAYS, "a receiver is shown one of them")
        if not self.ways:
            others = ", ".join(map(to_camel, WriterAuth.model_fields))
            raise wrong("basic", f"there is no credential here; one of {others} says it", {"secret": "NAME"})
        return self

    @property
    def ways(self) -> tuple[str, ...]:
        """Names of those that are used, as the page has them."""
        return tuple(to_camel(name) for name in WriterAuth.model_fields if getattr(self, name) is not None)


_WAYS = ("basic", "bearer", "oauth2", "sigv4", "azure_ad")


def _refuse_several(model: Strict, ways: tuple[str, ...], why: str) -> None:
    given = [to_camel(way) for way in ways if getattr(model, way) is not None]
    if len(given) > 1:
        raise wrong(given[1], f"{given[0]} and {given[1]} exclude each other: {why}")


def _stated(given: object) -> object:
    if given is None:
        # An empty key must not be taken for `none`.
        msg = "there is nothing here: it says how a sender shows who it is, or none"
        raise ValueError(msg)
    return None if given == "none" else given


Auth = Annotated[
    WriterAuth | None,
    BeforeValidator(_stated, json_schema_input_type=Literal["none"] | WriterAuth),
    PlainSerializer(lambda auth: "none" if auth is None else auth),
]
"""`none` becomes None."""


class WriterTls(Strict):
    """How a receiver is known. That its certificate is checked cannot be switched off."""

    ca: Pem | None = None
    """Authorities that may have signed its certificate, as PEM; those that everybody trusts where absent."""
    server_name: Host | None = Field(default=None, examples=["metrics.example.com"])
    """That its certificate is for; the host of the URL where absent."""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"


_LONGEST_WAIT = timedelta(minutes=5)
"""As long as a series is shown after its last sample."""


class QueueSettings(Strict):
    """What is otherwise computed from the expected rate."""

    min_shards: Count | None = Field(default=None, examples=[5])
    """As many as `maxShards` where absent: Prometheus loses samples where it changes their number under overload."""
    max_shards: Count | None = Field(default=None, examples=[5])
    capacity: Count | None = Field(default=None, examples=[10000])
    """Samples that each shard holds."""
    max_samples_per_send: int | None = Field(default=None, ge=1, le=10_000, strict=True, examples=[2000])
    """Prometheus refuses for good what is over 32 MiB once it is decoded."""
    batch_send_deadline: Duration | None = Field(default=None, examples=["5s"])
    min_backoff: Duration | None = Field(default=None, examples=["100ms"])
    max_backoff: Duration | None = Field(default=None, examples=["5s"])

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        pairs = (
            ("minShards", self.min_shards, "maxShards", self.max_shards),
            ("maxSamplesPerSend", self.max_samples_per_send, "capacity", self.capacity),
        )
        for low, below, high, above in pairs:
            if below is not None and above is not None and below > above:
                raise wrong(high, f"is less than {low}, which is {below}", below)
        least, most = self.min_backoff, self.max_backoff
        if least is not None and most is not None and least > most:
            right = format_duration(least)
            raise wrong("maxBackoff", f"is shorter than minBackoff, which is {right}", right)
        waits = (
            ("minBackoff", self.min_backoff),
            ("maxBackoff", self.max_backoff),
            ("batchSendDeadline", self.batch_send_deadline),
        )
        for field, wait in waits:
            if wait is not None and wait > _LONGEST_WAIT:
                right = format_duration(_LONGEST_WAIT)
                raise wrong(field, f"is over {right}: a receiver that is back would be left waiting", right)
        return self


class ReaderAuth(Strict):
    """How Grafana shows who it is: by a Secret that exists in the global cluster's monitoring namespace."""

    basic: BasicAuth | None = Field(default=None, examples=[{"secret": "long-term-storage-reader"}])
    bearer: Bearer | None = Field(default=None, examples=[{"secret": "long-term-storage-reader"}])

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        _refuse_several(self, ("basic", "bearer"), "a store is shown one of them")
        given = {"basic": self.basic, "bearer": self.bearer}
        if not any(given.values()):
            raise wrong("basic", "there is no credential here; basic or bearer says it", {"secret": "NAME"})
        for way, brought in given.items():
            if brought is not None and brought.config is not None:
                raise wrong(f"{way}.config", "Grafana takes it from a Secret; secret names that", None)
        return self


class Reading(Strict):
    """The same store as it is asked: a data source of the Grafana beside the global Prometheus."""

    url: Url = Field(examples=["https://mimir.example.com/prometheus"])
    """Where it answers PromQL, without `/api/v1`."""
    auth: ReaderAuth | None = Field(default=None, examples=[{"basic": {"secret": "long-term-storage-reader"}}])
    """Needless for a store in the global cluster itself."""
    ca: Pem | None = None
    """Authorities that may have signed its certificate, as PEM; those that everybody trusts where absent."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        parts = urlsplit(self.url)
        if re.search(r"/api/v1(/|$)", parts.path):
            right = urlunsplit(parts._replace(path=parts.path.partition("/api/v1")[0]))
            raise wrong("url", "Grafana puts /api/v1 behind it itself", right)
        if self.auth is None and not is_in_cluster(self.url):
            message = "it is not in the global cluster, and says nothing of who may read there"
            raise wrong("auth", message, {"basic": {"secret": "long-term-storage-reader"}})
        if parts.scheme == "http":
            if self.auth is not None:
                raise wrong("url", "the credential would travel in clear", _with_scheme(self.url, "https"))
            if self.ca is not None:
                raise wrong("ca", "has no effect: the URL is http://")
        return self


class Written(Strict):
    """Of a store: who writes there, and how much."""

    senders: Names = Field(min_length=1, examples=["hub"])
    """Who writes to it: names of clusters, or of tiers (leaf, regional, global, edge) for all of theirs."""
    keep: MetricPatterns = Field(default=(), min_length=1, examples=["region:.+"])
    """Names of the metrics that are sent, or patterns of them; everything that a sender holds where absent."""
    series: Count | None = Field(default=None, examples=[50000])
    """That each sender is expected to write; where absent, an edge's own `series`, and of the others an estimate of
    recorded series, not of raw ones."""
    queue: QueueSettings = QueueSettings()


class Destination(Written):
    """A receiver of remote write outside of the fleet, such as long-term storage."""

    kind: Kind = Field(examples=["mimir"])
    url: Url = Field(examples=["https://mimir.example.com/api/v1/push"])
    """Where it takes samples; its path is that of its kind."""
    auth: Auth = Field(examples=[{"basic": {"secret": "long-term-storage"}}])
    """How they show who they are; `none` for a receiver in the senders' own cluster."""
    tenant: Tenant | None = Field(default=None, examples=["fleet"])
    """Whose series these are, where the receiver keeps those of several apart."""
    tls: WriterTls = WriterTls()
    metadata: bool = Field(default=True, strict=True, examples=[False])
    """Whether types and help texts of metrics are sent along."""
    native_histograms: bool = Field(default=False, strict=True, examples=[True])
    message_version: Literal["V1.0", "V2.0"] = "V1.0"
    """Of remote write; V2.0 is for receivers that are known to take it."""
    read: Reading | None = Field(default=None, examples=[{"url": "http://mimir-gateway.mimir.svc/prometheus"}])
    """Where the Grafana beside the global Prometheus reads what was written; it does not where absent."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        _check_path(self.kind, self.url)
        _check_tenant(self.kind, self.tenant)
        self._check_auth()
        if urlsplit(self.url).scheme == "http":
            if self.auth is not None:
                message = "the credential would travel in clear"
                raise wrong("url", message, _with_scheme(self.url, "https"))
            if self.tls != WriterTls():
                raise wrong("tls", "has no effect: the URL is http://")
        if self.message_version == "V2.0" and "metadata" in self.model_fields_set:
            raise wrong("metadata", "has no effect: messages of V2.0 have it in them")
        return self

    def _check_auth(self) -> None:
        if self.auth is None:
            if not is_in_cluster(self.url):
                message = "it is not in the senders' own cluster, and says nothing of who may write there"
                raise wrong("auth", message, _RIGHT_AUTH.get(self.kind, {"basic": {"secret": "long-term-storage"}}))
            return
        needed = _KIND_AUTH.get(self.kind)
        if needed is not None and needed not in self.auth.ways and not is_in_cluster(self.url):
            raise wrong("auth", f"kind {self.kind} is written to with {needed}", _RIGHT_AUTH[self.kind])
        if self.auth.sigv4 is not None and self.aws_region is None:
            raise wrong("auth.sigv4.region", "is missing, and not to be read off the URL", "eu-central-1")

    @property
    def aws_region(self) -> str | None:
        if self.auth is None or self.auth.sigv4 is None:
            return None
        found = re.match(r"aps-workspaces\.([a-z0-9-]+)\.", urlsplit(self.url).hostname or "")
        return self.auth.sigv4.region or (found[1] if found is not None else None)

    @property
    def headers(self) -> Mapping[str, str]:
        header = _TENANT_HEADERS.get(self.kind)
        return {header: self.tenant} if header is not None and self.tenant is not None else {}

    @property
    def replica_label(self) -> str | None:
        """By which it keeps one of the samples that the replicas of a sender write; None where it would keep all."""
        return _REPLICA_LABELS.get(self.kind)

    @property
    def tracks_replicas(self) -> bool:
        """Whether it takes what one replica of each `cluster` writes, and throws the others' away."""
        return self.replica_label == _HA_TRACKERS_LABEL

    def store_of(self, sender: str) -> tuple[str, str | None]:
        """What two senders have in common that write to one and the same store."""
        url = urlsplit(self.url.rstrip("/"))
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        # The name of a Service is that of another one in each cluster.
        place = f"{sender}/" if is_in_cluster(self.url) else ""
        return f"{place}{url.hostname}:{port}{url.path}?{url.query}", self.tenant


def is_in_cluster(url: str) -> bool:
    """Whether the host is a Service's name, which means something within one cluster alone."""
    return (urlsplit(url).hostname or "").endswith((".svc", ".svc.cluster.local"))


_TENANT_HEADERS: Mapping[Kind, str] = {
    "mimir": "X-Scope-OrgID",
    "cortex": "X-Scope-OrgID",
    "thanos": "THANOS-TENANT",
}
_WITH_TENANT = f"only for {', '.join(sorted(_TENANT_HEADERS))}"
_NEEDS_TENANT: frozenset[Kind] = frozenset({"mimir", "cortex"})

_HA_TRACKERS_LABEL = "__replica__"
_REPLICA_LABELS: Mapping[Kind, str] = {
    "thanos": REPLICA_LABEL,
    **dict.fromkeys(("amazon", "cortex", "grafana-cloud", "mimir"), _HA_TRACKERS_LABEL),
}

_KIND_AUTH: Mapping[Kind, str] = {
    "amazon": "sigv4",
    "azure": "azureAd",
    "google": "bearer",
    "grafana-cloud": "basic",
}
_RIGHT_AUTH: Mapping[Kind, object] = {
    "amazon": {"sigv4": {}},
    "azure": {"azureAd": {"managedIdentity": {}}},
    "google": {"bearer": {"secret": "google-access-token"}},
    "grafana-cloud": {"basic": {"username": "123456", "config": "grafana-cloud-token"}},
}

# (what the end of the path has to be, a path that would do). Anything may stand before what begins with /api.
_PATHS: Mapping[Kind, tuple[str, str]] = {
    "amazon": (r"/workspaces/ws-[^/]+/api/v1/remote_write", "/workspaces/ws-ID/api/v1/remote_write"),
    "azure": (
        r"/dataCollectionRules/dcr-[^/]+/streams/Microsoft-PrometheusMetrics/api/v1/write",
        "/dataCollectionRules/dcr-ID/streams/Microsoft-PrometheusMetrics/api/v1/write",
    ),
    "cortex": (r"(/.+)?/api/(v1|prom)/push", "/api/v1/push"),
    "google": (
        r"/v1/projects/[^/]+/location/[^/]+/prometheus/api/v1/write",
        "/v1/projects/PROJECT/location/global/prometheus/api/v1/write",
    ),
    "grafana-cloud": (r"/api/prom/push", "/api/prom/push"),
    "mimir": (r"(/.+)?/api/v1/push", "/api/v1/push"),
    "prometheus": (r"(/.+)?/api/v1/write", "/api/v1/write"),
    "thanos": (r"(/.+)?/api/v1/receive", "/api/v1/receive"),
    "victoriametrics": (
        r"(/.+)?/(api/v1/write|insert/\d+(:\d+)?/prometheus)",
        "/api/v1/write",
    ),
}

_AZURE_API = "api-version=2023-04-24"


def _check_path(kind: Kind, text: str) -> None:
    url = urlsplit(text)
    # A relay has whatever path it likes.
    if kind not in _PATHS or (kind in {"amazon", "azure", "google"} and is_in_cluster(text)):
        return
    query = _AZURE_API if kind == "azure" else ""
    if (path := _right_path(kind, url.path)) != url.path:
        message = f"kind {kind} takes samples at {path}, not at {url.path or '/'}"
        raise wrong("url", message, urlunsplit((url.scheme, url.netloc, path, query, "")))
    if kind == "azure" and "api-version=" not in url.query:
        raise wrong("url", f"has no api-version: it ends with ?{_AZURE_API}", f"{text.partition('?')[0]}?{_AZURE_API}")


def _right_path(kind: Kind, given: str) -> str:
    pattern, path = _PATHS[kind]
    # Of what stands before an API, such as a tenant, the page knows best.
    prefix = re.sub(r"/(api|push|receive|write)(/.*)?$", "", given.rstrip("/"))
    known = (given, given.rstrip("/"), f"{prefix}{path}")
    return next((each for each in known if re.fullmatch(pattern, each)), path)


def _check_tenant(kind: Kind, tenant: str | None) -> None:
    if tenant is None and kind in _NEEDS_TENANT:
        message = f"is missing: {kind} keeps the series of each tenant apart (header X-Scope-OrgID)"
        raise wrong("tenant", message, "fleet")
    if tenant is not None and kind not in _TENANT_HEADERS:
        why = "it stands in the URL, as in /insert/0/prometheus" if kind == "victoriametrics" else _WITH_TENANT
        raise wrong("tenant", f"has no meaning for kind {kind}: {why}")


def _with_scheme(text: str, scheme: str) -> str:
    return urlunsplit(urlsplit(text)._replace(scheme=scheme))
