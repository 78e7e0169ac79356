"""The interface of one kind of resource, free of gRPC."""

from abc import ABC, abstractmethod

from pulumi.runtime.proto import provider_pb2 as pb


class ResourceKind(ABC):
    """Create, read, update and delete of one kind.

    Every method may raise StandInError, and those that write InitFailedError too.
    """

    @abstractmethod
    async def check(self, request: pb.CheckRequest) -> pb.CheckResponse: ...

    @abstractmethod
    async def diff(self, request: pb.DiffRequest) -> pb.DiffResponse: ...

    @abstractmethod
    async def create(self, request: pb.CreateRequest) -> pb.CreateResponse: ...

    @abstractmethod
    async def read(self, request: pb.ReadRequest) -> pb.ReadResponse: ...

    @abstractmethod
    async def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse: ...

    @abstractmethod
    async def delete(self, request: pb.DeleteRequest) -> None: ...


def token_of(urn: str) -> str:
    """`kubernetes:core/v1:Secret` of `urn:pulumi:dev::fleet::component$kubernetes:core/v1:Secret::name`."""
    return urn.split("::", 3)[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    return urn.split("::", 3)[3]
