"""The gateway: a Caddy beside Prometheus, the only way in from outside of the cluster.

A sidecar, because the Prometheus CRD has no basic auth and `--web.config.file` belongs to the operator. Its whole
configuration is one JSON file in a Secret, for `--watch` compares the bytes of that file alone: accounts, certificates
and authorities are inlined, or a change of theirs would never be seen.
"""

import base64
import re
import ssl
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlencode

from cryptography import x509

from fleet import page, pods, versions
from fleet.names import (
    GATEWAY,
    GATEWAY_CERTIFICATE,
    GATEWAY_CONTAINER,
    GATEWAY_FACTS_PORT,
    GATEWAY_PORT,
    PROMETHEUS_PORT,
)
from fleet.pem import common_name, load
from fleet.plan import AlertEdge, Call, Discovery, FederationEdge, Reader, RemoteWriteEdge, StoreEdge
from fleet.posted_alerts import own_alerts

CONFIG_KEY = "caddy.json"
ACCOUNTS_KEY = "auth"
_MOUNT = "/etc/gateway"
CERTIFICATE_MOUNT = "/etc/gateway-certificate"

WRITE_LIMIT = 32 * 2**20
"""Bytes of one compressed remote write: Prometheus sends 2,000 samples at a time, some tens of KiB."""

WRITES_AT_ONCE = 64
"""Under way at who takes samples; a further one is told to try again (503).

Each holds some megabytes there until it is done, and senders that come back after an outage come together.
"""

WRITE_BUFFER = 256 * 2**10
"""Bytes of a write that are read before it counts as under way: slow senders would keep others out."""

READ_LIMIT = 64 * 2**10
"""Bytes of one query."""

ALERT_LIMIT = 2**20
"""Bytes of one post of alerts: Prometheus sends at most 256 of them at a time, of a KiB or so each."""

HEADER_LIMIT = 4 * 2**10
"""Bytes of a request's headers, beside the query string."""

_CERTIFICATE_PORT = 9445
_PROMETHEUS = f"127.0.0.1:{PROMETHEUS_PORT}"
_LONGEST_PASSWORD = 72
"""Bytes: bcrypt reads no more, and Caddy keeps what it was shown in memory."""

BEGINNING = 8
"""Characters of a password that the gateway knows in clear. The others of a made one still hold 143 bits."""

Handler = dict[str, object]
Route = dict[str, object]
Matcher = dict[str, object]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may call along one edge, with what. In the program the hashes are resolved before this is called."""

    edge: Call
    hashes: Mapping[int, str]
    """bcrypt by generation, of those that `edge.key` accepts; empty where a certificate alone opens it."""
    beginnings: Mapping[int, str] = field(default_factory=dict[int, str])
    """The first `BEGINNING` characters of the same passwords, of those whose hash alone is not all that is known."""
    certificate: str | None = None
    """PEM: what it shows in its current generation, where it shows one. Known for its end alone."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM texts."""

    certificate: str
    """The chain, leaf first."""
    key: str


@dataclass(frozen=True, slots=True)
class MountedKeyPair:
    """A key pair that changes outside of `pulumi up`: a Secret with `tls.crt` and `tls.key`, mounted as a directory.

    Caddy reads files only when it loads its configuration, but asks a URL on each handshake. It answers that URL
    itself, on loopback, from the files as they are then: two small files are read for each new connection.
    """

    directory: str
    path: str
    """A secret of this gateway, letters and digits. Whatever shares the pod's network can ask on loopback, so the
    key's URL must not be guessed."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How the gateway shows who it is, and whose client certificates it believes."""

    served: Sequence[KeyPair]
    """Chosen by the name that the caller asks for (SNI)."""
    client_authorities: Sequence[str]
    """PEM certificates of the authorities that sign client certificates; empty where no edge uses them."""
    mounted: MountedKeyPair | None = None
    """For every name that none of `served` has."""


def certificate_identity(edge: Call, generation: int) -> str:
    """The only URI among the subject's alternative names of a caller's certificate."""
    return f"urn:prometheus-fleet:{edge.id}:{generation}"


def match_query(matches: Sequence[str]) -> str:
    """The raw query string of a federation, as Prometheus sends it (Go's `url.Values.Encode`)."""
    return urlencode([("match[]", match) for match in matches])


def caddy_config(
    callers: Sequence[Caller],
    tls: Tls | None,
    alertmanager: str | None = None,
    replicas: Sequence[str] = (),
    thanos: str | None = None,
) -> dict[str, object]:
    """Caddy's JSON: for each edge, what it was planned to carry, to whom it was planned for; 404 for everything else.

    Without `tls`, a gateway for a child in the caller's own cluster, where somebody else decides about certificates.
    `alertmanager` and `thanos`, which takes samples, are `host:port`; without one, nothing is taken in for it.
    `replicas`, `host:port` each, are those of this Prometheus, empty for one alone: every gateway asks the first that
    is ready, since replicas scrape at different moments and a caller that went from one to the other would see time run
    back. What is written goes to its own.
    """
    read = tuple(replicas) or (_PROMETHEUS,)
    upstreams = {_FEDERATE: read, _WRITE: (_PROMETHEUS,), _READ: read}
    if alertmanager is not None:
        upstreams[_ALERT] = (alertmanager,)
    if thanos is not None:
        upstreams[_STORE] = (thanos,)
    longest = max((len(query) for caller in callers for query in _longest_queries(caller.edge)), default=0)
    slowest = _slowest_answer(callers)
    gateway: dict[str, object] = {
        "listen": [f":{GATEWAY_PORT}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2"] if tls is not None else ["h1"],
        "max_header_bytes": HEADER_LIMIT + longest,
        "read_header_timeout": "10s",
        "read_timeout": slowest,
        "write_timeout": slowest,
        # Longer than Prometheus keeps an idle connection (5 min): whoever sends next must be the one who closes.
        "idle_timeout": "6m",
        "logs": {"default_logger_name": _REFUSED},
        "routes": [
            {"handle": [_answer_headers(secure=tls is not None)]},
            *(
                route
                for way, of_way in upstreams.items()
                for route in _way_in(way, of_way, [each for each in callers if _way(each.edge) is way])
            ),
            {"handle": [_status(404)]},
        ],
        "named_routes": {_OTHER_GENERATION: {"handle": _OBSERVED}},
    }
    servers: dict[str, object] = {"gateway": gateway}
    apps: dict[str, object] = {
        "http": {"servers": servers, "metrics": {}, "grace_period": slowest, **(_LEAVING if replicas else {})},
    }
    if tls is not None:
        gateway["tls_connection_policies"] = [_connection_policy(callers, tls)]
        # A caller verifies a name that does not depend on the address in its `Host`; one policy covers all names.
        gateway["strict_sni_host"] = False
        servers["facts"] = _facts_server(callers, tls)
        apps["tls"] = _certificates(tls)
        if tls.mounted is not None:
            servers["certificate"] = _certificate_server(tls.mounted)
    return {
        # No admin endpoint: it could change the configuration without a credential.
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": _LOGS},
        "apps": apps,
    }


def _slowest_answer(callers: Sequence[Caller]) -> str:
    """A scrape may take as long as its parent lets it; the others give up by themselves."""
    scrapes = [scrape.timeout for caller in callers for scrape in _scrapes(caller.edge)]
    longest = max([*scrapes, *(_way(caller.edge).timeout for caller in callers)], default=timedelta())
    return f"{(longest + timedelta(seconds=30)).total_seconds():.0f}s"


def _scrapes(call: Call) -> Sequence[FederationEdge]:
    match call:
        case Discovery():
            return call.edges
        case FederationEdge():
            return [call]
        case _:
            return ()


def _longest_queries(call: Call) -> list[str]:
    if isinstance(call, Reader):
        # A query of this length is better sent in a body.
        return ["q" * 4 * 2**10]
    return [match_query(each.matches) for each in _scrapes(call)]


# Who may come in


@dataclass(frozen=True, slots=True)
class _Way:
    """One kind of request."""

    path: str
    """A pattern of the whole path."""
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    """What is needed of the request's."""
    body: int
    """Bytes at most."""
    timeout: timedelta
    at_once: int | None = None
    """How many may be under way at an upstream; a further one is answered with 503."""


# Zero would mean no limit.
_FEDERATE = _Way("/federate", ("GET",), ("Accept", "Accept-Encoding", "User-Agent"), 1, timedelta())
_WRITE = _Way(
    "/api/v1/write",
    ("POST",),
    ("Content-Encoding", "Content-Type", "User-Agent", "X-Prometheus-Remote-Write-Version"),
    WRITE_LIMIT,
    timedelta(seconds=30),
    WRITES_AT_ONCE,
)
# Without the headers by which Thanos would take a request for another tenant's, or for one that is forwarded already.
_STORE = replace(_WRITE, path="/api/v1/receive")
_READ = _Way(
    "/api/v1/(?:query|query_range|series|labels|label/[A-Za-z0-9_]+/values|metadata|status/buildinfo)",
    ("GET", "POST"),
    ("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    READ_LIMIT,
    # Prometheus's own.
    timedelta(minutes=2),
)
_ALERT = _Way(
    "/api/v2/alerts",
    ("POST",),
    ("Content-Type", "User-Agent"),
    ALERT_LIMIT,
    # Prometheus's own.
    timedelta(seconds=10),
)


def _way(call: Call) -> _Way:
    match call:
        case RemoteWriteEdge():
            return _WRITE
        case StoreEdge():
            return _STORE
        case Reader():
            return _READ
        case AlertEdge():
            return _ALERT
        case _:
            return _FEDERATE


def _way_in(way: _Way, upstreams: Sequence[str], callers: Sequence[Caller]) -> list[Route]:
    if not callers:
        return []
    passwords = any(caller.edge.key.auth != "mtls" for caller in callers)
    challenge = {"WWW-Authenticate": ['Basic realm="restricted"']} if passwords else {}
    routes: list[Route] = [
        *(
            {"match": [_shows_identity_of(caller)], "handle": _edge_handlers(caller, upstreams), "terminal": True}
            for caller in callers
        ),
        {"handle": [{**_status(401), "headers": challenge}]},
    ]
    # Caddy's own path matcher would clean and lower the path first, and then pass the uncleaned one on.
    exactly = _matches("{http.request.uri}", rf"^{way.path}(?:\?|$)")
    return [{"match": [{**exactly, "method": list(way.methods)}], "handle": [_subroute(routes)], "terminal": True}]


def _shows_identity_of(caller: Caller) -> Matcher:
    """Whether the request claims to come along this edge; a certificate is verified by then, a password is not.

    A name that is not planned costs no bcrypt: Caddy would compare with a hash of cost 14, a second of CPU. Nor does a
    password that begins otherwise than the right ones: some tens a second, three hashes each, would take all of the
    processor that right callers need (docs/gateway.md).
    """
    edge = caller.edge
    # Keys of one matcher are alternatives: both of them need one each.
    certificate: Matcher = {
        "vars": {_CERTIFICATE_IDENTITY: [certificate_identity(edge, each) for each in edge.key.accepted]}
    }
    beginnings = dict.fromkeys(caller.beginnings.get(generation, "") for generation in caller.hashes)
    headers = "|".join(_basic_authorization(edge.caller, beginning) for beginning in beginnings)
    password = _matches("{http.request.header.Authorization}", headers)
    return {"basic": password, "mtls": certificate, "both": {**certificate, **password}}[edge.key.auth]


_CERTIFICATE_IDENTITY = "{http.request.tls.client.san.uris.0}"


def _basic_authorization(user: str, beginning: str) -> str:
    """A pattern of the header's whole value with this user's name and any password that begins so, in base64."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    shown = f"{user}:{beginning}".encode()
    whole = len(shown) // 3 * 3
    known = base64.b64encode(shown[:whole]).decode()
    if rest := shown[whole:]:
        # The last character that is decided holds the next one's first bits as well.
        *exact, shared = base64.b64encode(rest).decode().rstrip("=")
        first = alphabet.index(shared)
        # One byte leaves four bits of it open, two bytes leave two.
        known += "".join(exact)
        ending = f"[{re.escape(alphabet[first : first + 4 ** (3 - len(rest))])}]"
    else:
        ending = ""
    longest = -(-_LONGEST_PASSWORD * 4 // 3)
    return rf"^Basic {re.escape(known)}{ending}[A-Za-z0-9+/]{{0,{longest}}}={{0,2}}$"


def _edge_handlers(caller: Caller, upstreams: Sequence[str]) -> list[Handler]:
    edge = caller.edge
    # First of all: what follows an error is a copy of the request, whose body nothing else would limit.
    handlers: list[Handler] = [{"handler": "request_body", "max_size": _way(edge).body}]
    if edge.key.auth != "basic":
        handlers.append(
            _subroute([_other_certificate(edge, each) for each in edge.key.accepted if each != edge.key.generation])
        )
    if edge.key.auth != "mtls":
        handlers.append(_password(caller))
    return [*handlers, *_only_planned(edge), _subroute(_OBSERVATION), *_passed_on(edge, upstreams)]


def _other_certificate(edge: Call, generation: int) -> Route:
    shown: Matcher = {"vars": {_CERTIFICATE_IDENTITY: [certificate_identity(edge, generation)]}}
    return {"match": [shown], "handle": [_came_with(edge, generation)]}


def _password(caller: Caller) -> Handler:
    """Any accepted generation's password: Caddy refuses two accounts of one name, so one is tried after the other."""
    key = caller.edge.key
    others = [each for each in reversed(key.accepted) if each != key.generation]
    attempts = [each for each in (key.generation, *others) if each in caller.hashes]
    *earlier, last = [_attempt(caller, generation) for generation in attempts]
    chain = _subroute([{"handle": last}])
    for attempt in reversed(earlier):
        chain = _subroute([{"handle": attempt}], errors=[
            # What comes after also runs inside: its errors are none of the password's.
            {"match": [{"vars": {"authenticated": ["yes"]}}], "handle": [_SAME_ERROR]},
            {"match": [{"vars": {"authenticated": [""]}}], "handle": [chain]},
        ])  # fmt: skip
    return chain


def _attempt(caller: Caller, generation: int) -> list[Handler]:
    edge = caller.edge
    account = {"username": edge.caller, "password": caller.hashes[generation]}
    authentication: Handler = {
        "handler": "authentication",
        "providers": {
            "http_basic": {
                "accounts": [account],
                "hash": {"algorithm": "bcrypt"},
                # Paid once per password, right or wrong, not once per request: at cost 10, 50 ms of CPU.
                "hash_cache": {},
            }
        },
    }
    handlers: list[Handler] = [authentication, {"handler": "vars", "authenticated": "yes"}]
    if generation != edge.key.generation:
        handlers += [_ANSWER_WITHOUT_CHALLENGE, _came_with(edge, generation)]
    return handlers


_SAME_ERROR: Handler = {
    "handler": "error",
    "status_code": "{http.error.status_code}",
    "error": "{http.error.message}",
}
# The attempt before has put one there.
_ANSWER_WITHOUT_CHALLENGE: Handler = {"handler": "headers", "response": {"delete": ["WWW-Authenticate"]}}


# What they may ask


def _only_planned(edge: Call) -> Iterator[Handler]:
    yield _refused_unless(_matches("{http.request.uri.query}", _planned_query(edge)))
    if isinstance(edge, AlertEdge):
        body = "{http.request.body}"
        yield _refused_unless(_matches(body, own_alerts(edge)))
        # What was read goes on: of such a copy, nothing would be left.
        yield {"handler": "request_body", "set": body}


def _refused_unless(planned: Matcher) -> Handler:
    return _subroute([{"match": [{"not": [planned]}], "handle": [_status(403)], "terminal": True}])


def _planned_query(edge: Call) -> str:
    """Planned selectors, no more often than planned: fewer show nothing else, and one more comes without a gap."""
    match edge:
        case RemoteWriteEdge() | StoreEdge() | AlertEdge():
            return "^$"
        case Reader():
            return ""
        case _:
            return "^(?:" + "|".join(dict.fromkeys(_some_of(child.matches) for child in _scrapes(edge))) + ")$"


def _some_of(matches: Sequence[str]) -> str:
    match = "(?:" + "|".join(re.escape(match_query([each])) for each in matches) + ")"
    return f"{match}(?:&{match}){{0,{len(matches) - 1}}}"


def _passed_on(edge: Call, upstreams: Sequence[str]) -> list[Handler]:
    """Nothing of the request goes on but what is needed of it: the credential ends here."""
    way = _way(edge)
    proxy: Handler = {
        "handler": "reverse_proxy",
        **_upstreams(way, upstreams),
        "headers": {
            "request": {
                "delete": ["*"],
                "set": {header: [f"{{http.request.header.{header}}}"] for header in way.headers},
            },
        },
        **(_FIRST_READY if len(upstreams) > 1 else {}),
    }
    # Caddy adds its name last of all.
    nameless: Handler = {"handler": "headers", "response": {"deferred": True, "delete": ["Via"]}}
    return [nameless, proxy]


def _upstreams(way: _Way, addresses: Sequence[str]) -> Handler:
    if way.at_once is None:
        return {"upstreams": [{"dial": address} for address in addresses]}
    # Caddy counts by what is written here: so, what is asked of the same address does not count.
    counted = [{"dial": f"tcp/{address}", "max_requests": way.at_once} for address in addresses]
    return {"upstreams": counted, "request_buffers": WRITE_BUFFER}


# A Service brings calls for a moment longer to a pod that ends, and another replica has the answer.
_LEAVING = {"shutdown_delay": "5s"}
# One that does not accept a connection is passed over at once, by the request that has found it so as well.
_FIRST_READY: Handler = {
    "load_balancing": {"selection_policy": {"policy": "first"}, "try_duration": "10s", "try_interval": "100ms"},
    "health_checks": {
        "active": {"uri": "/-/ready", "interval": "5s", "timeout": "5s", "fails": 2, "expect_status": 200},
        "passive": {"fail_duration": "10s"},
    },
    "transport": {"protocol": "http", "dial_timeout": "3s"},
}


# What an operator sees

_REFUSED = "refused"
_OTHER_GENERATION = "other-generation"


def _came_with(edge: Call, generation: int) -> Handler:
    return {"handler": "vars", "edge": edge.id, "generation": str(generation)}


_OBSERVATION: list[Route] = [
    {"match": [{"vars": {"generation": [""]}}], "handle": [{"handler": "vars", "log_skip": True}]},
    {
        "match": [{"not": [{"vars": {"generation": [""]}}]}],
        "handle": [{"handler": "invoke", "name": _OTHER_GENERATION}],
    },
]
# A named route counts by its first handler: `caddy_http_requests_total{handler="log_append"}` has nothing else.
_OBSERVED: list[Handler] = [
    {"handler": "log_append", "key": "edge", "value": "{http.vars.edge}"},
    {"handler": "log_append", "key": "generation", "value": "{http.vars.generation}"},
    {"handler": "vars", "access_logger_names": [_OTHER_GENERATION]},
]


def _log(*names: str, per_second: int) -> dict[str, object]:
    """Each log samples for itself, so that a flood of one kind does not hide the other."""
    return {
        "include": list(names),
        "encoder": {
            "format": "filter",
            "wrap": {"format": "json"},
            # Caddy redacts the credentials that it knows; what is not there needs no redaction.
            "fields": {name: {"filter": "delete"} for name in ("request>headers", "resp_headers", "request>tls")},
        },
        "sampling": {"interval": 10**9, "first": per_second, "thereafter": 10**9},
    }


_ACCESS = "http.log.access"
_LOGS: dict[str, object] = {
    "default": {**_log(per_second=20), "include": [], "exclude": [_ACCESS]},
    _REFUSED: _log(f"{_ACCESS}.{_REFUSED}", per_second=5),
    _OTHER_GENERATION: _log(f"{_ACCESS}.{_OTHER_GENERATION}", per_second=5),
}


def _facts_server(callers: Sequence[Caller], tls: Tls) -> dict[str, object]:
    """For the Prometheus beside it alone: how Caddy fares, and what this running configuration accepts."""
    text = {**_status(200), "headers": {"Content-Type": ["text/plain; version=0.0.4"]}, "body": facts(callers, tls)}
    return {
        "listen": [f"127.0.0.1:{GATEWAY_FACTS_PORT}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "routes": [
            {"match": [{"path": ["/metrics"]}], "handle": [{"handler": "metrics"}], "terminal": True},
            {"match": [{"path": ["/facts"]}], "handle": [text], "terminal": True},
            {"handle": [_status(404)]},
        ],
    }


def facts(callers: Sequence[Caller], tls: Tls) -> str:
    """Text exposition; a certificate's time is in seconds since 1970, the earliest of its chain and of its name.

    A caller's has the name of its edge.
    """
    named = [
        *((_name(chain[0]), chain) for chain in map(load, _own_chains(tls))),
        *((caller.edge.id, load(caller.certificate)) for caller in callers if caller.certificate),
    ]
    expiry: dict[str, float] = {}
    for name, chain in named:
        ends = (each.not_valid_after_utc.timestamp() for each in chain)
        expiry[name] = min(*ends, expiry.get(name, float("inf")))
    edges = [caller.edge for caller in callers]
    samples = [
        *(
            _sample("accepted_generation", {"edge": each.id, "caller": each.caller}, each.key.generation)
            for each in edges
        ),
        *(_sample("certificate_expiry_timestamp_seconds", {"name": name}, at) for name, at in expiry.items()),
        *(_sample("trusted_authority", _authority(each), 1) for each in tls.client_authorities),
        *(_sample("certificate_authority", {"name": name, "issuer": issuer}, 1) for name, issuer in _issuers(tls)),
    ]
    return "".join(f"{sample}\n" for sample in samples)


def _own_chains(tls: Tls) -> list[str]:
    return [*(pair.certificate for pair in tls.served), *tls.client_authorities]


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"prometheus_fleet_{name}{{{pairs}}} {value:.0f}"


def _authority(pem: str) -> dict[str, str]:
    fingerprint = sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    return {"fingerprint": f"sha256:{fingerprint}", "name": _name(load(pem)[0])}


def _issuers(tls: Tls) -> list[tuple[str, str]]:
    """Of each certificate that is shown: its name, and who signed it."""
    shown = (load(pair.certificate)[0] for pair in tls.served)
    return [(_name(each), common_name(each.issuer)) for each in shown]


def _name(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        dns: list[str] = []
    else:
        dns = names.get_values_for_type(x509.DNSName)
    return next(iter(dns), common_name(certificate.subject)) or certificate.subject.rfc4514_string()


# Who the gateway is


def _connection_policy(callers: Sequence[Caller], tls: Tls) -> dict[str, object]:
    policy: dict[str, object] = {"protocol_min": "tls1.2", "alpn": ["h2", "http/1.1"]}
    needed = Counter(caller.edge.key.auth != "basic" for caller in callers)
    if needed[True]:
        trusted = [base64.b64encode(ssl.PEM_cert_to_DER_cert(each)).decode() for each in tls.client_authorities]
        policy["client_authentication"] = {
            "mode": "verify_if_given" if needed[False] else "require_and_verify",
            "ca": {"provider": "inline", "trusted_ca_certs": trusted},
        }
    return policy


def _certificates(tls: Tls) -> dict[str, object]:
    app: dict[str, object] = {
        "certificates": {"load_pem": [{"certificate": pair.certificate, "key": pair.key} for pair in tls.served]},
        # It stores nothing.
        "disable_storage_check": True,
        "disable_storage_clean": True,
    }
    if tls.mounted is not None:
        url = f"http://127.0.0.1:{_CERTIFICATE_PORT}/{tls.mounted.path}"
        app["automation"] = {"policies": [{"get_certificate": [{"via": "http", "url": url}]}]}
    return app


def _certificate_server(mounted: MountedKeyPair) -> dict[str, object]:
    # Caddy takes off the last newline of a file that it puts in.
    body = "".join(f"{{file.{mounted.directory}/{name}}}\n" for name in ("tls.crt", "tls.key"))
    return {
        "listen": [f"127.0.0.1:{_CERTIFICATE_PORT}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "routes": [
            {
                "match": [{"vars": {"{http.request.uri.path}": [f"/{mounted.path}"]}}],
                "handle": [{**_status(200), "body": body}],
                "terminal": True,
            },
            {"handle": [_status(404)]},
        ],
    }


# Caddy's JSON


def _subroute(routes: Sequence[Route], errors: Sequence[Route] = ()) -> Handler:
    return {"handler": "subroute", "routes": list(routes), **({"errors": {"routes": list(errors)}} if errors else {})}


def _status(code: int) -> Handler:
    return {"handler": "static_response", "status_code": code}


def _matches(placeholder: str, pattern: str) -> Matcher:
    return {"vars_regexp": {placeholder: {"pattern": pattern}}}


def _answer_headers(*, secure: bool) -> Handler:
    transport = {"Strict-Transport-Security": ["max-age=31536000"]} if secure else {}
    headers = {"X-Content-Type-Options": ["nosniff"], **transport}
    return {"handler": "headers", "response": {"set": headers, "delete": ["Server"]}}


def certificate_secret(tls: page.Tls) -> str | None:
    """The Secret of a certificate that changes outside of `pulumi up`; None where `pulumi up` makes it."""
    return {"generated": None, "cert-manager": GATEWAY_CERTIFICATE, "existing": tls.secret}[tls.mode]


def container(registry: str | None, certificate: str | None) -> dict[str, object]:
    """The sidecar for `prometheusSpec.containers`.

    `registry` is a mirror in place of the image's own, `certificate` the `certificate_secret`.
    """
    return {
        "name": GATEWAY_CONTAINER,
        "image": versions.pulled_from(registry, versions.CADDY_IMAGE),
        "command": ["caddy", "run", "--config", f"{_MOUNT}/{CONFIG_KEY}", "--watch"],
        "env": [{"name": name, "value": "/tmp"} for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")],  # noqa: S108 (the pod's own)
        "ports": [{"name": GATEWAY_CONTAINER, "containerPort": GATEWAY_PORT}],
        "readinessProbe": {"tcpSocket": {"port": GATEWAY_PORT}, "periodSeconds": 5},
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "securityContext": {
            **pods.POD,
            **pods.CONTAINER,
            # The released image's binary has this as a file capability: without it in the bounding set the kernel
            # refuses to start it. It is the one that the restricted Pod Security Standard lets a container add.
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "volumeMounts": [
            {"name": GATEWAY_CONTAINER, "mountPath": _MOUNT, "readOnly": True},
            *(
                [{"name": GATEWAY_CERTIFICATE, "mountPath": CERTIFICATE_MOUNT, "readOnly": True}]
                if certificate is not None
                else []
            ),
        ],
    }


def volumes(certificate: str | None) -> list[dict[str, object]]:
    """What the sidecar mounts, for `prometheusSpec.volumes`; the htpasswd key stays outside of the pod."""
    items = [{"key": CONFIG_KEY, "path": CONFIG_KEY}]
    mounted: list[dict[str, object]] = [{"name": GATEWAY_CONTAINER, "secret": {"secretName": GATEWAY, "items": items}}]
    if certificate is not None:
        # Where it is not there yet, only calls fail; Prometheus beside it starts.
        mounted.append({"name": GATEWAY_CERTIFICATE, "secret": {"secretName": certificate, "optional": True}})
    return mounted
