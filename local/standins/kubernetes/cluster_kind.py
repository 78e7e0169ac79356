"""What objects and releases have in common: a cluster that may be out of reach."""

from typing import Final

from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.host import Host, StandInError
from local.standins.kinds import ResourceKind
from local.standins.kubernetes.client import Client
from local.standins.kubernetes.config import Settings

FORGET: Final = (
    "if the cluster is gone for good, run again with PULUMI_K8S_DELETE_UNREACHABLE=true to drop what was in it "
    "from the state"
)


class ClusterKind(ResourceKind):
    def __init__(self, host: Host, client: Client, settings: Settings) -> None:
        self.host = host
        self.client = client
        self.settings = settings

    async def require_cluster(self) -> None:
        """Raises StandInError where the cluster cannot be reached."""
        reason = await self.client.why_unreachable()
        if reason:
            raise StandInError(f"configured Kubernetes cluster is unreachable: {reason}")

    async def skipped(self, request: pb.CheckRequest) -> pb.CheckResponse | None:
        """The old inputs, so that nothing changes, where the cluster is out of reach and the user said to go on."""
        if not self.settings.skip_update_unreachable or not await self.client.why_unreachable():
            return None
        await self.host.warn(request.urn, "the cluster is unreachable and skipUpdateUnreachable is set: skipped")
        return pb.CheckResponse(inputs=request.olds)

    async def read_unreachable(self, request: pb.ReadRequest) -> pb.ReadResponse | None:
        """None where the cluster can be read. Raises StandInError where it cannot and no setting says what then."""
        reason = await self.client.why_unreachable()
        if not reason:
            return None
        await self.host.warn(request.urn, f"configured Kubernetes cluster is unreachable: {reason}")
        if self.settings.delete_unreachable:
            await self.host.info(request.urn, "deleteUnreachable is set: dropped from the state")
            return pb.ReadResponse()
        if self.settings.skip_update_unreachable:
            await self.host.info(request.urn, "skipUpdateUnreachable is set: kept as last known")
            return pb.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        raise StandInError(f"the state of the resource cannot be read, its cluster is unreachable; {FORGET}")

    async def dropped_unreachable(self, request: pb.DeleteRequest) -> bool:
        """Whether nothing is left to delete. Raises StandInError where that cannot be known."""
        reason = await self.client.why_unreachable()
        if not reason:
            return False
        if self.settings.delete_unreachable:
            await self.host.warn(request.urn, f"dropped from the state, its cluster is unreachable: {reason}")
            return True
        raise StandInError(f"configured Kubernetes cluster is unreachable: {reason}; {FORGET}")
