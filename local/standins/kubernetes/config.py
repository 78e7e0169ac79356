"""The provider's settings and the kubeconfig that they lead to."""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import yaml

from local.standins.host import StandInError
from local.standins.properties import Json, JsonObject, pluck_list, pluck_map, pluck_str

SUPPORTED: Final = {
    "cluster",
    "clusterIdentifier",
    "context",
    "deleteUnreachable",
    "enableConfigMapMutable",
    "enablePatchForce",
    "enableSecretMutable",
    "enableServerSideApply",
    "helmReleaseSettings",
    "kubeClientSettings",
    "kubeconfig",
    "namespace",
    "skipUpdateUnreachable",
    "strictMode",
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
    "upsertExistingObjects",
}
BEYOND: Final = {"alwaysRender", "renderYamlToDirectory"}
"""Settings of the official plugin that the stand-in has no use for."""

_FROM_ENVIRONMENT: Final = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}


@dataclass(frozen=True)
class Settings:
    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    config_map_mutable: bool = False
    secret_mutable: bool = False
    patch_force: bool = False
    upsert: bool = False
    request_timeout: float = 30.0
    """Seconds for one answer of the API server."""
    helm_environment: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Settings":
        """Raises StandInError where a nested setting is no JSON."""

        def flag(name: str) -> bool:
            return variables.get(name, os.environ.get(_FROM_ENVIRONMENT[name], "")) == "true"

        client = _nested(variables, "kubeClientSettings")
        timeout = client.get("timeout")
        return cls(
            kubeconfig=variables.get("kubeconfig", ""),
            context=variables.get("context", ""),
            cluster=variables.get("cluster", ""),
            namespace=variables.get("namespace", ""),
            delete_unreachable=flag("deleteUnreachable"),
            skip_update_unreachable=flag("skipUpdateUnreachable"),
            config_map_mutable=flag("enableConfigMapMutable"),
            secret_mutable=flag("enableSecretMutable"),
            patch_force=flag("enablePatchForce"),
            upsert=flag("upsertExistingObjects"),
            request_timeout=float(timeout) if isinstance(timeout, (int, float)) and timeout else 30.0,
            helm_environment=_helm_environment(_nested(variables, "helmReleaseSettings")),
        )


def _nested(variables: Mapping[str, str], name: str) -> JsonObject:
    text = variables.get(name)
    if not text:
        return {}
    try:
        value = cast("Json", json.loads(text))
    except ValueError as error:
        raise StandInError(f"provider setting {name} is no JSON object: {error}") from None
    return value if isinstance(value, dict) else {}


def _helm_environment(settings: JsonObject) -> dict[str, str]:
    names = {
        "pluginsPath": "HELM_PLUGINS",
        "registryConfigPath": "HELM_REGISTRY_CONFIG",
        "repositoryConfigPath": "HELM_REPOSITORY_CONFIG",
        "repositoryCache": "HELM_REPOSITORY_CACHE",
    }
    driver = pluck_str(settings, "driver") or os.environ.get("PULUMI_K8S_HELM_DRIVER", "secret")
    if driver not in {"secret", "secrets"}:
        raise StandInError(f"the stand-in keeps Helm releases in Secrets only, not with the driver {driver!r}")
    return {variable: value for name, variable in names.items() if (value := pluck_str(settings, name))}


@dataclass(frozen=True)
class Kubeconfig:
    """One context of a kubeconfig, everything it refers to read in."""

    server: str
    namespace: str
    ca: str
    """PEM, empty for the system's."""
    verify: bool
    certificate: str
    key: str
    token: str
    username: str
    password: str
    proxy: str
    document: JsonObject = field(repr=False)
    """The whole kubeconfig with paths made absolute and this context made the current one."""


def active_cluster(settings: Mapping[str, str]) -> Json:
    """The cluster entry that a provider's settings lead to, None where they lead to none."""
    try:
        document, _ = _load(settings.get("kubeconfig", ""))
        context = _named(document, "contexts", settings.get("context") or pluck_str(document, "current-context"))
        return _named(document, "clusters", settings.get("cluster") or pluck_str(context, "cluster"))
    except StandInError:
        return None


def load_kubeconfig(settings: Settings) -> Kubeconfig:
    """Raises StandInError with what is wrong and where."""
    document, where = _load(settings.kubeconfig)
    base = where.parent if where else Path.cwd()
    name = settings.context or pluck_str(document, "current-context")
    origin = f"the kubeconfig {where}" if where else "the kubeconfig"
    if not name:
        raise StandInError(f"{origin} has no current-context; set the provider's context")
    context = _named(document, "contexts", name)
    if not context:
        known = ", ".join(pluck_str(item, "name") for item in pluck_list(document, "contexts")) or "none"
        raise StandInError(f"{origin} has no context {name!r}; it has: {known}")
    cluster = _named(document, "clusters", settings.cluster or pluck_str(context, "cluster"))
    user = _named(document, "users", pluck_str(context, "user"))
    server = pluck_str(cluster, "server")
    if not server:
        raise StandInError(f"{origin} names no server for the context {name!r}")
    for unknown in ({"exec", "auth-provider"} & user.keys()) | ({"tls-server-name"} & cluster.keys()):
        raise StandInError(f"{origin} uses {unknown}, which the stand-in does not know")
    token_file = pluck_str(user, "tokenFile")
    return Kubeconfig(
        server=server.rstrip("/"),
        namespace=settings.namespace or pluck_str(context, "namespace") or "default",
        ca=_data(cluster, "certificate-authority", base),
        verify=cluster.get("insecure-skip-tls-verify") is not True,
        certificate=_data(user, "client-certificate", base),
        key=_data(user, "client-key", base),
        token=pluck_str(user, "token") or (_read(base / token_file).strip() if token_file else ""),
        username=pluck_str(user, "username"),
        password=pluck_str(user, "password"),
        proxy=pluck_str(cluster, "proxy-url"),
        document=_current(document, name, settings.cluster, base),
    )


def _load(path_or_contents: str) -> tuple[JsonObject, Path | None]:
    if "\n" in path_or_contents or path_or_contents.lstrip().startswith("{"):
        path, text = None, path_or_contents
    else:
        ambient = os.environ.get("KUBECONFIG") or "~/.kube/config"
        path = Path(path_or_contents or ambient).expanduser().absolute()
        if not path.is_file():
            raise StandInError(
                f"there is no kubeconfig at {path}; set the provider's kubeconfig to a file or to its contents"
            )
        text = _read(path)
    try:
        document = cast("Json", yaml.load(text, yaml.CSafeLoader))
    except yaml.YAMLError as error:
        # The error's own text quotes the document, keys and all.
        mark = (
            f" at line {error.problem_mark.line + 1}"
            if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark
            else ""
        )
        raise StandInError(f"the kubeconfig {path or 'given as contents'} is no YAML{mark}") from None
    if not isinstance(document, dict):
        raise StandInError(f"the kubeconfig {path or 'given as contents'} is no YAML mapping")
    return document, path


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise StandInError(f"{path} of the kubeconfig cannot be read: {error.strerror}") from None


def _named(document: JsonObject, section: str, name: str) -> JsonObject:
    """The entry's content: `contexts[].context` and so on."""
    for item in pluck_list(document, section):
        if pluck_str(item, "name") == name:
            return pluck_map(item, section.removesuffix("s"))
    return {}


def _data(entry: JsonObject, name: str, base: Path) -> str:
    encoded = pluck_str(entry, f"{name}-data")
    if encoded:
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise StandInError(f"{name}-data of the kubeconfig is no base64 of a PEM") from None
    path = pluck_str(entry, name)
    return _read(base / path) if path else ""


def _current(document: JsonObject, context: str, cluster: str, base: Path) -> JsonObject:
    paths = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    result: JsonObject = {**document, "current-context": context}
    for section in ("clusters", "users", "contexts"):
        inner = section.removesuffix("s")
        items: list[Json] = []
        for item in pluck_list(document, section):
            entry = pluck_map(item, inner)
            absolute: JsonObject = {
                name: str(base / pluck_str(entry, name)) for name in paths if pluck_str(entry, name)
            }
            chosen: JsonObject = {"cluster": cluster} if section == "contexts" and cluster else {}
            items.append({"name": pluck_str(item, "name"), inner: {**entry, **absolute, **chosen}})
        result[section] = items
    return result
