"""What a resource kind needs of its plugin: the engine's log, its cancellation, and errors that users read."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf import struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

T = TypeVar("T")

MESSAGE_LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class StandInError(Exception):
    """Ends the operation; its text is all that the user sees."""


class CancelledByUserError(StandInError):
    """The engine asked to stop waiting."""


class InitFailedError(StandInError):
    """The resource exists but is not (yet) what it should be: the engine keeps it in state and tries again."""

    def __init__(
        self,
        message: str,
        *,
        resource_id: str,
        properties: struct_pb2.Struct,
        inputs: struct_pb2.Struct | None = None,
        reasons: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.properties = properties
        self.inputs = inputs
        self.reasons = [message, *(reasons or [])]


class _Engine(Protocol):
    """The generated stub on an asyncio channel; its own types are those of a blocking one."""

    def Log(self, request: engine_pb2.LogRequest, /) -> Awaitable[object]: ...  # noqa: N802 - the protocol's name


class Host:
    """The engine as seen from a plugin."""

    def __init__(self) -> None:
        self._engine: _Engine | None = None
        self._shown: dict[str, str] = {}
        self.cancelled = asyncio.Event()

    def connect(self, address: str) -> None:
        channel = grpc.aio.insecure_channel(address, options=MESSAGE_LIMITS)
        self._engine = cast("_Engine", engine_pb2_grpc.EngineStub(channel))

    async def info(self, urn: str, message: str) -> None:
        await self._send(engine_pb2.INFO, urn, message)

    async def warn(self, urn: str, message: str) -> None:
        await self._send(engine_pb2.WARNING, urn, message)

    async def progress(self, urn: str, message: str) -> None:
        """Shows the line beside the resource until the next one; an empty one clears it."""
        if self._shown.get(urn, "") != message:
            self._shown[urn] = message
            await self._send(engine_pb2.INFO, urn, message, ephemeral=True)

    async def _send(
        self, severity: engine_pb2.LogSeverity.ValueType, urn: str, message: str, *, ephemeral: bool = False
    ) -> None:
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=severity, urn=urn, message=message, ephemeral=ephemeral)
        try:
            await self._engine.Log(request)
        except grpc.RpcError:
            logging.getLogger(__name__).debug("the engine took no log line: %s", message)

    async def unless_cancelled(self, work: Awaitable[T], what: str) -> T:
        """The work's result. Raises CancelledByUserError, the work cancelled, as soon as the engine asks to stop."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.cancelled.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CancelledByUserError(f"cancelled while waiting for {what}")
            return task.result()
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
