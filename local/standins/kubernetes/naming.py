"""Names that the plugin chooses, of objects and of their owners' marks."""

import hashlib
import secrets
from typing import Final

from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.host import StandInError
from local.standins.kinds import name_of

SUFFIX_LENGTH: Final = 8


def autoname(request: pb.CheckRequest) -> str:
    """Raises StandInError where the stack's settings forbid names made by the engine or the plugin."""
    options = request.autonaming
    if options.mode == pb.CheckRequest.AutonamingOptions.DISABLE:
        raise StandInError(f"{name_of(request.urn)}: autonaming is disabled, the resource needs a name of its own")
    if options.proposed_name:
        return options.proposed_name
    seed = request.randomSeed
    suffix = hashlib.sha256(seed).hexdigest()[:SUFFIX_LENGTH] if seed else secrets.token_hex(SUFFIX_LENGTH // 2)
    return f"{name_of(request.urn)}-{suffix}"


def owner_mark(urn: str) -> str:
    """Tells, in the cluster, what this very resource of this very stack has made.

    An `up` that was killed leaves objects that the state does not know; the mark lets the next one go on with them
    and with nothing else. Field managers carry it, so an object that sets no field but its name bears none.
    """
    return hashlib.sha256(urn.encode()).hexdigest()[:SUFFIX_LENGTH]


def split_id(resource_id: str) -> tuple[str, str]:
    """Namespace (empty where there is none) and name."""
    namespace, _, name = resource_id.rpartition("/")
    return namespace, name


def join_id(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name
