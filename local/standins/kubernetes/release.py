"""`helm.sh/v3:Release` through the helm CLI."""

import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from google.protobuf import struct_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.diffs import Path, changes, prune, response
from local.standins.host import Host, InitFailedError, StandInError
from local.standins.kubernetes import helm
from local.standins.kubernetes.chart import chart_version, checksum, local_chart, merge, release_inputs
from local.standins.kubernetes.client import Client
from local.standins.kubernetes.cluster_kind import ClusterKind
from local.standins.kubernetes.config import Settings
from local.standins.kubernetes.naming import autoname, join_id, owner_mark, split_id
from local.standins.kubernetes.workloads import Workloads
from local.standins.properties import (
    UNKNOWN,
    JsonObject,
    Properties,
    annotate,
    from_json,
    has_unknown,
    marshal,
    plain,
    plain_map,
    pluck,
    pluck_int,
    pluck_map,
    pluck_str,
    secret,
    unmarshal,
)

DEFAULT_TIMEOUT: Final = 300
INPUTS: Final = "__inputs"
OUTPUTS_ONLY: Final = {INPUTS, "status", "resourceNames"}
REPLACING: Final[list[Path]] = [("name",), ("namespace",)]

FLAGS: Final = {
    "atomic": "--atomic",
    "dependencyUpdate": "--dependency-update",
    "devel": "--devel",
    "disableOpenapiValidation": "--disable-openapi-validation",
    "renderSubchartNotes": "--render-subchart-notes",
    "skipCrds": "--skip-crds",
    "verify": "--verify",
}
INSTALL_FLAGS: Final = {
    "createNamespace": "--create-namespace",
    "disableWebhooks": "--no-hooks",
    "replace": "--replace",
}
UPGRADE_FLAGS: Final = {
    "cleanupOnFail": "--cleanup-on-fail",
    "disableCRDHooks": "--no-hooks",
    "forceUpdate": "--force",
    "recreatePods": "--recreate-pods",
    "resetValues": "--reset-values",
    "reuseValues": "--reuse-values",
}
TEXTS: Final = {"description": "--description", "keyring": "--keyring", "postrender": "--post-renderer"}
REPOSITORY: Final = {"repo": "--repo", "caFile": "--ca-file", "certFile": "--cert-file", "keyFile": "--key-file"}


@dataclass(frozen=True)
class Session:
    """What helm is told about the cluster."""

    arguments: list[str]
    environment: dict[str, str]
    descriptors: list[int]


class Releases(ClusterKind):
    def __init__(self, host: Host, client: Client, settings: Settings) -> None:
        super().__init__(host, client, settings)
        self._taken_over: set[str] = set()

    async def check(self, request: pb.CheckRequest) -> pb.CheckResponse:
        skipped = await self.skipped(request)
        if skipped:
            return skipped
        given = unmarshal(request.news)
        inputs = release_inputs(given)
        inputs.setdefault("name", pluck_str(plain_map(unmarshal(request.olds)), "name") or autoname(request))
        inputs.setdefault("namespace", self.client.default_namespace)
        if not inputs.get("skipAwait"):
            inputs.setdefault("timeout", DEFAULT_TIMEOUT)
        if inputs.get("verify"):
            inputs.setdefault("keyring", "~/.gnupg/pubring.gpg")
        problems: list[pb.CheckFailure] = []
        if not has_unknown(inputs):
            try:
                inputs |= await self._chart(inputs)
            except StandInError as error:
                reason = f"{error}; check the chart's name and repository"
                problems.append(pb.CheckFailure(property="chart", reason=reason))
        return pb.CheckResponse(inputs=marshal(_like(inputs, given)), failures=problems)

    async def _chart(self, inputs: JsonObject) -> JsonObject:
        """The exact version, and for a chart on disk what tells that it has changed."""
        chart = local_chart(inputs)
        known: JsonObject = {}
        if chart:
            known["checksum"] = checksum(chart, own_files_only=bool(inputs.get("dependencyUpdate")))
        if chart and chart.is_dir():
            return {**known, "version": chart_version(chart)}
        async with self._source(inputs) as (source, environment):
            shown = await helm.run(["show", "chart", *source], host=self.host, environment=environment)
        versions = [
            line.removeprefix("version:").strip(" \"'") for line in shown.splitlines() if line.startswith("version:")
        ]
        return {**known, "version": versions[0]} if versions else known

    @contextlib.asynccontextmanager
    async def _source(self, inputs: JsonObject) -> AsyncGenerator[tuple[list[str], dict[str, str]]]:
        """Arguments and environment that name the chart; a password reaches helm by its standard input only."""
        environment = self.settings.helm_environment
        options = pluck_map(inputs, "repositoryOpts")
        arguments = [pluck_str(inputs, "chart")]
        repository = pluck_str(options, "repo")
        for name, option in REPOSITORY.items():
            value = pluck_str(options, name)
            if value and (name != "repo" or "://" in value):
                arguments += [option, value]
        if repository and "://" not in repository:
            arguments[0] = f"{repository}/{arguments[0]}"
        version = pluck_str(inputs, "version") or (">0.0.0-0" if inputs.get("devel") else "")
        if version:
            arguments += ["--version", version]
        if pluck_str(options, "password"):
            raise StandInError(
                "repositoryOpts.password: the stand-in hands no password to helm; log in before: "
                "helm registry login, or helm repo add"
            )
        yield arguments, environment

    async def diff(self, request: pb.DiffRequest) -> pb.DiffResponse:
        state = plain_map(unmarshal(request.olds))
        old = pluck_map(state, INPUTS) or plain_map(unmarshal(request.old_inputs))
        new = plain_map(unmarshal(request.news))
        # An upgrade made by hand shows in the outputs, once refreshed: those win over what was asked for last.
        known = {key: value for key, value in old.items() if key != "resourceNames"}
        base = {key: prune(state[key], value, (key,)) if key in state else value for key, value in known.items()}
        if "checksum" not in new:
            base.pop("checksum", None)
        return response(changes(base, new), replacing=REPLACING)

    async def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        given = unmarshal(request.properties)
        inputs = plain_map(given)
        if request.preview:
            return pb.CreateResponse(properties=marshal(_checkpoint(given, inputs, None)))
        await self.require_cluster()
        namespace, name = pluck_str(inputs, "namespace"), pluck_str(inputs, "name")
        records = helm.Releases(self.client)
        last = await self._mend(request.urn, namespace, name)
        mark = owner_mark(request.urn)
        arguments = ["install", *_options(inputs, {**FLAGS, **INSTALL_FLAGS})]
        if last and last.status != "uninstalled" and not inputs.get("replace"):
            what = f"Helm release {join_id(namespace, name)!r} (status {last.status}, revision {last.number})"
            if last.owner != mark:
                raise StandInError(
                    f"{what} already exists, and nothing in it says that this resource made it; "
                    "import it (pulumi import), uninstall it, or choose another name"
                )
            await self.host.warn(request.urn, f"{what} is left of an interrupted run of this resource: upgrading it")
            self._taken_over.add(join_id(namespace, name))
            arguments = ["upgrade", *_options(inputs, {**FLAGS, **UPGRADE_FLAGS})]
        failure = await self._deploy(request.urn, inputs, [*arguments, "--labels", f"{helm.OWNER_LABEL}={mark}"])
        last = await records.last(namespace, name)
        if last is None:
            raise StandInError(f"Helm release {join_id(namespace, name)!r} was not created: {failure}")
        record = await records.record(namespace, last)
        properties = marshal(_checkpoint(given, inputs, record))
        if failure:
            raise _failed("created", record, failure, properties)
        return pb.CreateResponse(id=join_id(namespace, name), properties=properties)

    async def _mend(self, urn: str, namespace: str, name: str) -> helm.Revision | None:
        """The last revision, after what a killed helm left half-done has been written down as failed."""
        records = helm.Releases(self.client)
        last = await records.last(namespace, name)
        if last and last.interrupted:
            await self.host.warn(
                urn, f"Helm release {join_id(namespace, name)!r} was left {last.status} by an interrupted run"
            )
            await records.end_interrupted(namespace, last)
            return await records.last(namespace, name)
        if last and last.status == "uninstalling" and last.owner == owner_mark(urn):
            await self._uninstall(urn, {"namespace": namespace, "name": name})
            return await records.last(namespace, name)
        return last

    async def _deploy(self, urn: str, inputs: JsonObject, arguments: list[str]) -> str:
        """Runs install or upgrade; what went wrong, with all that explains it, empty where nothing did."""
        namespace, name = pluck_str(inputs, "namespace"), pluck_str(inputs, "name")
        vanishing = bool(inputs.get("atomic") or inputs.get("cleanupOnFail"))
        workloads = Workloads(self.host, self.client, urn, namespace, name, vanishing=vanishing)
        values = json.dumps(inputs.get("values") or {})
        async with (
            self._session(namespace) as session,
            self._source(inputs) as (source, _),
            helm.secret_file(values) as values_file,
        ):
            chart, *options = source
            given = ["-f", helm.path_of(values_file)]
            if inputs.get("lint"):
                await helm.run(["lint", chart, *given], host=self.host, descriptors=[values_file])
            command, *rest = arguments
            try:
                await helm.run(
                    [command, name, chart, *options, *rest, *given, *session.arguments],
                    host=self.host,
                    environment=session.environment,
                    descriptors=[*session.descriptors, values_file],
                    tick=None if inputs.get("skipAwait") else workloads.show,
                )
            except helm.HelmStoppedError as error:
                return str(error)
            except helm.HelmError as error:
                return "".join([str(error), *(f"\n  {line}" for line in await workloads.explain())])
            finally:
                await self.host.progress(urn, "")
        return ""

    @contextlib.asynccontextmanager
    async def _session(self, namespace: str) -> AsyncGenerator[Session]:
        document = json.dumps(self.client.kubeconfig.document)
        async with helm.secret_file(document) as kubeconfig:
            yield Session(
                arguments=["--kubeconfig", helm.path_of(kubeconfig), "--namespace", namespace],
                environment=self.settings.helm_environment,
                descriptors=[kubeconfig],
            )

    async def read(self, request: pb.ReadRequest) -> pb.ReadResponse:
        unreachable = await self.read_unreachable(request)
        if unreachable:
            return unreachable
        state = unmarshal(request.properties)
        namespace, name = split_id(request.id)
        namespace = namespace or self.client.default_namespace
        records = helm.Releases(self.client)
        last = await records.last(namespace, name)
        if last is None or last.status == "uninstalled":
            return pb.ReadResponse()
        record = await records.record(namespace, last)
        given = unmarshal(request.inputs)
        if not given:
            given = {key: from_json(value) for key, value in _importable(record).items()}
        outputs = {**plain_map(given), **{key: plain(value) for key, value in state.items() if key not in OUTPUTS_ONLY}}
        properties = marshal(_checkpoint(given, outputs, record))
        return pb.ReadResponse(id=request.id, properties=properties, inputs=marshal(given))

    async def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        given = unmarshal(request.news)
        inputs = plain_map(given)
        if request.preview:
            return pb.UpdateResponse(properties=marshal(_checkpoint(given, inputs, None)))
        await self.require_cluster()
        namespace, name = pluck_str(inputs, "namespace"), pluck_str(inputs, "name")
        await self._mend(request.urn, namespace, name)
        arguments = ["upgrade", *_options(inputs, {**FLAGS, **UPGRADE_FLAGS})]
        failure = await self._deploy(request.urn, inputs, arguments)
        records = helm.Releases(self.client)
        last = await records.last(namespace, name)
        if last is None:
            raise StandInError(
                f"Helm release {join_id(namespace, name)!r} is not in the cluster any more: {failure}; "
                "run pulumi refresh, then up"
            )
        record = await records.record(namespace, last)
        properties = marshal(_checkpoint(given, inputs, record))
        if failure:
            raise _failed("updated", record, failure, properties)
        return pb.UpdateResponse(properties=properties)

    async def delete(self, request: pb.DeleteRequest) -> None:
        if await self.dropped_unreachable(request):
            return
        if request.id in self._taken_over:
            # A forced replacement: its create found this very release and went on with it.
            await self.host.warn(request.urn, f"Helm release {request.id!r} stays: its replacement is the same release")
            return
        state = plain_map(unmarshal(request.properties))
        namespace, name = split_id(request.id)
        await self._uninstall(request.urn, {**state, "namespace": namespace, "name": name})

    async def _uninstall(self, urn: str, state: JsonObject) -> None:
        name = pluck_str(state, "name")
        waiting = bool(state.get("atomic")) or not state.get("skipAwait")
        arguments = ["uninstall", name, "--ignore-not-found", "--timeout", f"{_timeout(state)}s"]
        async with self._session(pluck_str(state, "namespace")) as session:
            await self.host.progress(urn, f"uninstalling Helm release {name}")
            try:
                await helm.run(
                    [*arguments, *(["--wait"] if waiting else []), *session.arguments],
                    host=self.host,
                    environment=session.environment,
                    descriptors=session.descriptors,
                )
            except helm.HelmError as error:
                raise StandInError(f"Helm release {name!r} was not uninstalled: {error}") from None
            finally:
                await self.host.progress(urn, "")


def _timeout(inputs: JsonObject) -> int:
    return pluck_int(inputs, "timeout") or DEFAULT_TIMEOUT


def _options(inputs: JsonObject, flags: dict[str, str]) -> list[str]:
    options = ["--timeout", f"{_timeout(inputs)}s"]
    options += [option for name, option in flags.items() if inputs.get(name) is True]
    for name, option in TEXTS.items():
        if pluck_str(inputs, name):
            options += [option, pluck_str(inputs, name)]
    if not inputs.get("skipAwait"):
        options += ["--wait", *(["--wait-for-jobs"] if inputs.get("waitForJobs") else [])]
    if "--cleanup-on-fail" in flags.values():
        options += ["--history-max", str(pluck_int(inputs, "maxHistory"))]
    return options


def _failed(done: str, record: JsonObject, failure: str, properties: struct_pb2.Struct) -> InitFailedError:
    status = helm.status_output(record)
    resource_id = join_id(pluck_str(status, "namespace"), pluck_str(status, "name"))
    return InitFailedError(
        f"Helm release {resource_id!r} was {done}, but failed to initialize completely "
        f"(status {status['status']}, revision {status['revision']}): {failure}",
        resource_id=resource_id,
        properties=properties,
    )


def _like(values: JsonObject, given: Properties) -> Properties:
    """The values, secret where the program's inputs were."""
    result = {key: annotate(value, given.get(key)) for key, value in values.items()}
    files = given.get("valueYamlFiles")
    if files and files.contains_secret() and "values" in values:
        result["values"] = secret(values["values"])
    return result


def _checkpoint(given: Properties, outputs: JsonObject, record: JsonObject | None) -> Properties:
    """The official plugin's state; without a record, as in a preview, what only the cluster knows is unknown."""
    shown = {key: value for key, value in outputs.items() if key != INPUTS}
    if record is None:
        shown |= {"resourceNames": UNKNOWN, "status": UNKNOWN}
    else:
        status = helm.status_output(record)
        shown |= {
            "resourceNames": helm.resource_names(helm.manifest_objects(pluck_str(record, "manifest"))),
            "status": status,
            "version": status["version"],
        }
        values = merge(pluck_map(outputs, "values"), pluck_map(record, "config"))
        if values:
            shown["values"] = values
    result = _like(shown, given)
    result[INPUTS] = PropertyValue(given, is_secret=True)
    return result


def _importable(record: JsonObject) -> JsonObject:
    status = helm.status_output(record)
    inputs: JsonObject = {name: status[name] for name in ("name", "namespace", "chart", "version")}
    values = pluck(record, "config")
    return {**inputs, "timeout": DEFAULT_TIMEOUT, **({"values": values} if values else {})}
