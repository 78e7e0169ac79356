"""The `kubernetes` plugin: settings, and which kind of resource a token means."""

from typing import Final

from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.host import Host, StandInError
from local.standins.kinds import ResourceKind
from local.standins.kubernetes.client import Client
from local.standins.kubernetes.config import BEYOND, SUPPORTED, Settings, active_cluster
from local.standins.kubernetes.objects import Objects
from local.standins.properties import plain_map, unmarshal
from local.standins.servicer import Plugin

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
ENGINE_KEYS: Final = {"version", "pluginDownloadURL", "__internal", "__defaults"}
CLUSTER_KEYS: Final = ("kubeconfig", "context", "cluster")


class KubernetesPlugin(Plugin):
    package = "kubernetes"

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._objects: Objects | None = None
        self._releases: ResourceKind | None = None

    def check_config(self, settings: pb.CheckRequest) -> pb.CheckResponse:
        given = plain_map(unmarshal(settings.news))
        problems: list[pb.CheckFailure] = []
        for name in sorted(given.keys() - SUPPORTED - ENGINE_KEYS):
            if name in BEYOND:
                reason = str(self.refuse(f"the provider setting {name}"))
            else:
                reason = f"the kubernetes provider has no setting {name!r}; it has: {', '.join(sorted(SUPPORTED))}"
            problems.append(pb.CheckFailure(property=name, reason=reason))
        if given.get("enableServerSideApply") in {False, "false"}:
            reason = str(self.refuse("client-side apply"))
            problems.append(pb.CheckFailure(property="enableServerSideApply", reason=reason))
        return pb.CheckResponse(inputs=settings.news, failures=problems)

    def diff_config(self, request: pb.DiffRequest) -> pb.DiffResponse:
        old, new = plain_map(unmarshal(request.olds)), plain_map(unmarshal(request.news))
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        replaces: list[str] = []
        if old.get("clusterIdentifier") and new.get("clusterIdentifier"):
            replaces = [key for key in changed if key == "clusterIdentifier"]
        else:
            before, after = (
                active_cluster({key: value for key, value in settings.items() if isinstance(value, str)})
                for settings in (old, new)
            )
            if before and after and before != after:
                replaces = [key for key in changed if key in CLUSTER_KEYS]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
        )

    async def configure(self, variables: dict[str, str]) -> None:
        settings = Settings.of(variables)
        client = Client(settings)
        self._objects = Objects(self.host, client, settings)

    def kind(self, token: str) -> ResourceKind:
        if self._objects is None:
            raise StandInError("the engine used the kubernetes provider before it configured it")
        module, _, name = token.removeprefix("kubernetes:").partition(":")
        if token == RELEASE:
            from local.standins.kubernetes.release import Releases  # noqa: PLC0415 - only some programs have releases

            self._releases = self._releases or Releases(self.host, self._objects.client, self._objects.settings)
            return self._releases
        # Patch and List kinds exist in the SDK only, except where a group of its own defines one.
        sdk_only = name.endswith(("Patch", "List")) and (
            module.startswith("core/") or ".k8s.io/" in module or "." not in module
        )
        if sdk_only or module.startswith(("helm.sh/", "yaml", "kustomize")) or "/" not in module:
            raise self.refuse(f"the resource type {token}")
        return self._objects
