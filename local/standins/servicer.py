"""The gRPC server that every stand-in plugin is; its life is the engine's."""

# ruff: noqa: ARG002, N802 - names and signatures are the protocol's

import asyncio
import json
import os
import signal
import stat
import sys
import traceback
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Never, Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.host import MESSAGE_LIMITS, Host, InitFailedError, StandInError
from local.standins.kinds import ResourceKind, token_of

Response = TypeVar("Response")

STOP_GRACE_SECONDS = 10.0
"""For operations to end what they started (a running helm) once the engine has gone."""


class Context(Protocol):
    """What is used of gRPC's context; its own types say nothing."""

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, bytes], ...]) -> None: ...

    async def abort(self, code: grpc.StatusCode, details: str) -> Never: ...


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """One package's plugin: answers the protocol and leaves resources to their kinds."""

    package: str

    def __init__(self, host: Host) -> None:
        self.host = host

    @abstractmethod
    def kind(self, token: str) -> ResourceKind:
        """Raises StandInError for a token that this stand-in does not know."""

    async def configure(self, variables: dict[str, str]) -> None:
        """Takes the provider's settings, by name."""

    def check_config(self, settings: pb.CheckRequest) -> pb.CheckResponse:
        return pb.CheckResponse(inputs=settings.news)

    def diff_config(self, request: pb.DiffRequest) -> pb.DiffResponse:
        changed = request.olds != request.news
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE)

    def refuse(self, what: str) -> StandInError:
        return StandInError(
            f"the stand-in for the {self.package} plugin does not know {what}; install the official plugin: "
            f"pulumi plugin install resource {self.package} {self.version}"
        )

    @property
    def version(self) -> str:
        return version(f"pulumi-{self.package}")

    async def Handshake(self, request: pb.ProviderHandshakeRequest, context: Context) -> pb.ProviderHandshakeResponse:
        self.host.connect(request.engine_address)
        return pb.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:
        self.host.connect(request.address)
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self.version)

    async def GetSchema(self, request: pb.GetSchemaRequest, context: Context) -> pb.GetSchemaResponse:
        return pb.GetSchemaResponse(schema=json.dumps({"name": self.package, "version": self.version}))

    async def GetMapping(self, request: pb.GetMappingRequest, context: Context) -> pb.GetMappingResponse:
        return pb.GetMappingResponse()

    async def GetMappings(self, request: pb.GetMappingsRequest, context: Context) -> pb.GetMappingsResponse:
        return pb.GetMappingsResponse()

    async def CheckConfig(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        return self.check_config(request)

    async def DiffConfig(self, request: pb.DiffRequest, context: Context) -> pb.DiffResponse:
        return self.diff_config(request)

    async def Configure(self, request: pb.ConfigureRequest, context: Context) -> pb.ConfigureResponse:
        prefix = f"{self.package}:config:"
        settings = {key.removeprefix(prefix): value for key, value in request.variables.items()}
        await self._answer(context, lambda: self.configure(settings))
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True)

    async def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        return await self._answer(context, lambda: self.kind(token_of(request.urn)).check(request))

    async def Diff(self, request: pb.DiffRequest, context: Context) -> pb.DiffResponse:
        return await self._answer(context, lambda: self.kind(token_of(request.urn)).diff(request))

    async def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:
        return await self._answer(context, lambda: self.kind(token_of(request.urn)).create(request))

    async def Read(self, request: pb.ReadRequest, context: Context) -> pb.ReadResponse:
        return await self._answer(context, lambda: self.kind(token_of(request.urn)).read(request))

    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateResponse:
        return await self._answer(context, lambda: self.kind(token_of(request.urn)).update(request))

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> empty_pb2.Empty:
        await self._answer(context, lambda: self.kind(token_of(request.urn)).delete(request))
        return empty_pb2.Empty()

    async def Invoke(self, request: pb.InvokeRequest, context: Context) -> pb.InvokeResponse:
        await _abort(context, self.refuse(f"the function {request.tok}"))

    async def Call(self, request: pb.CallRequest, context: Context) -> pb.CallResponse:
        await _abort(context, self.refuse(f"the method {request.tok}"))

    async def Construct(self, request: pb.ConstructRequest, context: Context) -> pb.ConstructResponse:
        await _abort(context, self.refuse(f"the component {request.type}"))

    async def Parameterize(self, request: pb.ParameterizeRequest, context: Context) -> pb.ParameterizeResponse:
        await _abort(context, self.refuse("parameters"))

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        self.host.cancelled.set()
        return empty_pb2.Empty()

    async def _answer(self, context: Context, method: Callable[[], Awaitable[Response]]) -> Response:
        try:
            return await method()
        except StandInError as error:
            await _abort(context, error)
        except Exception as error:  # noqa: BLE001 - gRPC would tell the user nothing but "unexpected"
            traceback.print_exc()
            fault = f"the stand-in for the {self.package} plugin failed: {type(error).__name__}: {error}"
            await _abort(context, StandInError(fault))


async def _abort(context: Context, error: StandInError) -> Never:
    code = grpc.StatusCode.UNKNOWN
    if isinstance(error, InitFailedError):
        detail = any_pb2.Any()
        detail.Pack(
            pb.ErrorResourceInitFailed(
                id=error.resource_id,
                properties=error.properties,
                inputs=error.inputs,
                reasons=error.reasons,
            )
        )
        status = status_pb2.Status(code=code.value[0], message=str(error), details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(code, str(error))


def serve(make: Callable[[Host], Plugin]) -> None:
    """Runs the plugin until the engine that started it ends it, or ends."""
    asyncio.run(_serve(make))


async def _serve(make: Callable[[Host], Plugin]) -> None:
    host = Host()
    if len(sys.argv) > 1:
        host.connect(sys.argv[1])
    server = grpc.aio.server(options=MESSAGE_LIMITS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(make(host), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gone = _engine_gone()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await gone.wait()
    host.cancelled.set()
    await server.stop(STOP_GRACE_SECONDS)


def _engine_gone() -> asyncio.Event:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, gone.set)
    stdin = sys.stdin.fileno()

    def ended() -> None:
        loop.remove_reader(stdin)
        gone.set()

    if stat.S_ISFIFO(os.fstat(stdin).st_mode):
        # The engine holds the other end open and never writes: readable means end of file, however it died.
        loop.add_reader(stdin, ended)
    return gone
