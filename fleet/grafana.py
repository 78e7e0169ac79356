"""The Grafana beside the global Prometheus, as chart values, and what of Kubernetes its sidecars may read."""

from collections.abc import Iterator, Mapping, Sequence

from fleet import pods
from fleet.names import GRAFANA_ADMIN, GRAFANA_ROLE
from fleet.page import Brought, Kind, ReaderAuth
from fleet.plan import DataSource

Config = dict[str, object]

ADMIN_USER_KEY, ADMIN_PASSWORD_KEY = "admin-user", "admin-password"

ROLE_RULES: Sequence[Mapping[str, object]] = (
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
)


def grafana(namespace: str, labels: Mapping[str, str], sources: Sequence[DataSource] = ()) -> Config:
    """The chart's `grafana`. Beside `sources` it has the chart's own: the Prometheus and the Alertmanager beside it."""
    return {
        "enabled": True,
        "admin": {
            "existingSecret": GRAFANA_ADMIN,
            "userKey": ADMIN_USER_KEY,
            "passwordKey": ADMIN_PASSWORD_KEY,
        },
        # The chart's are of one cluster, and read series that stay below.
        "defaultDashboardsEnabled": False,
        # The chart's own Role reads every Secret beside it, and the keys of the fleet lie there.
        "rbac": {"namespaced": True, "useExistingRole": GRAFANA_ROLE},
        "sidecar": {
            "dashboards": {**_sidecar(), "searchNamespace": namespace},
            "datasources": {**_sidecar(), "searchNamespace": namespace},
            "securityContext": pods.CONTAINER,
        },
        # Grafana itself asks nothing of an API server, and shares its pod with the sidecars that do.
        "automountServiceAccountToken": False,
        "serviceAccount": {"autoMount": False},
        "extraContainerVolumes": [pods.token_volume()],
        "securityContext": pods.POD,
        "containerSecurityContext": pods.CONTAINER,
        "extraEmptyDirMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 (of its own pod)
        # It calls nobody: default-deny would let each attempt wait for its timeout.
        "grafana.ini": {"analytics": {"check_for_updates": False, "reporting_enabled": False}},
        "testFramework": {"enabled": False},
        # The other parts of the chart take its commonLabels.
        "extraLabels": dict(labels),
        **_data_sources(sources),
    }


def _data_sources(sources: Sequence[DataSource]) -> Config:
    keys = {variable: key for each in sources for variable, key in _keys(each.name, each.reading.auth)}
    return {"additionalDataSources": [_data_source(each) for each in sources], "envValueFrom": keys} if sources else {}


def _data_source(given: DataSource) -> Config:
    """As Grafana provisions it. It puts secrets in where a variable is named, so that no ConfigMap holds one."""
    name, reading = given.name, given.reading
    held: Config = {}
    options: Config = {"httpMethod": "POST", "prometheusType": _ENGINES.get(given.kind, "Prometheus")}
    source: Config = {"name": name, "type": "prometheus", "access": "proxy", "url": reading.url, "jsonData": options}
    headers = {header: _literal(value) for header, value in given.headers.items()}
    if reading.auth is not None and (basic := reading.auth.basic) is not None:
        source["basicAuth"] = True
        source["basicAuthUser"] = _literal(basic.username) if basic.username else _env(name, "USERNAME")
        held["basicAuthPassword"] = _env(name, "PASSWORD")
    if reading.auth is not None and reading.auth.bearer is not None:
        headers["Authorization"] = f"Bearer {_env(name, 'TOKEN')}"
    for number, (header, value) in enumerate(headers.items(), start=1):
        options[f"httpHeaderName{number}"] = header
        held[f"httpHeaderValue{number}"] = value
    if reading.ca is not None:
        options["tlsAuthWithCACert"] = True
        held["tlsCACert"] = reading.ca
    return {**source, "secureJsonData": held} if held else source


_ENGINES: Mapping[Kind, str] = {"cortex": "Cortex", "mimir": "Mimir", "thanos": "Thanos"}
"""Grafana's names of those that it knows to differ from Prometheus."""


def _keys(name: str, auth: ReaderAuth | None) -> Iterator[tuple[str, Config]]:
    """Variables of Grafana's environment, and the Secrets that they come from."""
    if auth is not None and (basic := auth.basic) is not None:
        if basic.username is None:
            yield _variable(name, "USERNAME"), _of_secret(basic, basic.username_key)
        yield _variable(name, "PASSWORD"), _of_secret(basic, basic.password_key)
    if auth is not None and (bearer := auth.bearer) is not None:
        yield _variable(name, "TOKEN"), _of_secret(bearer, bearer.key)


def _of_secret(brought: Brought, key: str) -> Config:
    return {"secretKeyRef": {"name": brought.secret, "key": key}}


def _variable(name: str, part: str) -> str:
    """No name of a destination has an underscore, so no two share one."""
    return f"DATA_SOURCE_{name.upper().replace('-', '_')}_{part}"


def _env(name: str, part: str) -> str:
    """Without braces: what those bring in is looked through for variables once more, and a password may have a `$`."""
    return f"${_variable(name, part)}"


def _literal(text: str) -> str:
    return text.replace("$", "$$")


def _sidecar() -> Config:
    """As the Role has it: where it also watches Secrets, which it does by default, it would be refused."""
    return {"resource": "configmap", "extraMounts": [pods.TOKEN_MOUNT]}
