"""Stand-in for the `random` plugin: RandomPassword."""

import secrets
import string
from typing import Final

import pulumi.runtime.proto.provider_pb2 as pb

from local.standins.diffs import Path, changes, response
from local.standins.kinds import ResourceKind
from local.standins.properties import (
    UNKNOWN,
    JsonObject,
    annotate,
    from_json,
    has_unknown,
    marshal,
    plain_map,
    pluck_int,
    pluck_str,
    secret,
    unmarshal,
)
from local.standins.servicer import Plugin, serve

SPECIAL: Final = "!@#$%&*()-_=+[]{}<>:?"
BCRYPT_BYTES: Final = 72
"""bcrypt reads no further; newer implementations refuse longer input instead of cutting it."""
BCRYPT_COST: Final = 10

DEFAULTS: Final[JsonObject] = {
    "lower": True,
    "upper": True,
    "numeric": True,
    "number": True,
    "special": True,
    "minLower": 0,
    "minUpper": 0,
    "minNumeric": 0,
    "minSpecial": 0,
}
INPUTS: Final = {*DEFAULTS, "length", "overrideSpecial", "keepers"}


class RandomPassword(ResourceKind):
    async def check(self, request: pb.CheckRequest) -> pb.CheckResponse:
        inputs = plain_map(unmarshal(request.news))
        problems = [
            pb.CheckFailure(property=name, reason=f"RandomPassword has no input {name!r}")
            for name in inputs.keys() - INPUTS - {"__defaults"}
        ]
        if "length" not in inputs:
            problems.append(pb.CheckFailure(property="length", reason="length is required"))
        elif not has_unknown(inputs):
            problems += [pb.CheckFailure(property="length", reason=reason) for reason in _impossible(inputs)]
        return pb.CheckResponse(inputs=request.news, failures=problems)

    async def diff(self, request: pb.DiffRequest) -> pb.DiffResponse:
        old = _complete(plain_map(unmarshal(request.old_inputs)))
        found = changes(old, _complete(plain_map(unmarshal(request.news))))
        return response(found, replacing=_ALL)

    async def create(self, request: pb.CreateRequest) -> pb.CreateResponse:
        given = unmarshal(request.properties)
        inputs = _complete(plain_map(given))
        if request.preview or has_unknown(inputs):
            result = hashed = UNKNOWN
        else:
            result = password(inputs)
            hashed = bcrypt_hash(result)
        outputs = {key: annotate(value, given.get(key)) for key, value in inputs.items()}
        outputs |= {"id": from_json("none"), "result": secret(result), "bcryptHash": secret(hashed)}
        return pb.CreateResponse(id="" if request.preview else "none", properties=marshal(outputs))

    async def read(self, request: pb.ReadRequest) -> pb.ReadResponse:
        if request.properties.fields:
            return pb.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        # An import: the id is the password itself.
        inputs: JsonObject = {"length": len(request.id)}
        outputs = {key: from_json(value) for key, value in _complete(inputs).items()}
        outputs |= {
            "id": from_json("none"),
            "result": secret(request.id),
            "bcryptHash": secret(bcrypt_hash(request.id)),
        }
        given = {key: from_json(value) for key, value in inputs.items()}
        return pb.ReadResponse(id="none", properties=marshal(outputs), inputs=marshal(given))

    async def update(self, request: pb.UpdateRequest) -> pb.UpdateResponse:
        return pb.UpdateResponse(properties=request.olds)

    async def delete(self, request: pb.DeleteRequest) -> None:
        """Nothing exists outside of the state."""


_ALL: Final[list[Path]] = [()]


def _complete(inputs: JsonObject) -> JsonObject:
    given = {key: value for key, value in inputs.items() if value is not None and key != "__defaults"}
    numeric = given.get("numeric", given.get("number", True))
    return {**DEFAULTS, **given, "numeric": numeric, "number": numeric}


def _classes(inputs: JsonObject) -> dict[str, str]:
    """The characters to draw from, by the name of the input that sets how many there must be at least."""
    return {
        "minLower": string.ascii_lowercase if inputs["lower"] else "",
        "minUpper": string.ascii_uppercase if inputs["upper"] else "",
        "minNumeric": string.digits if inputs["numeric"] else "",
        "minSpecial": (pluck_str(inputs, "overrideSpecial") or SPECIAL) if inputs["special"] else "",
    }


def _impossible(inputs: JsonObject) -> list[str]:
    settings = _complete(inputs)
    classes = _classes(settings)
    least = {name: pluck_int(settings, name) for name in classes}
    length = pluck_int(settings, "length")
    problems: list[str] = []
    if length < 1 or length < sum(least.values()):
        problems.append("length must be at least 1 and at least minLower + minUpper + minNumeric + minSpecial")
    if not any(classes.values()):
        problems.append("one of lower, upper, numeric and special must be true")
    problems += [f"{name} needs its characters enabled" for name in least if least[name] and not classes[name]]
    return problems


def password(inputs: JsonObject) -> str:
    classes = _classes(inputs)
    drawn = [secrets.choice(characters) for name, characters in classes.items() for _ in range(pluck_int(inputs, name))]
    alphabet = "".join(classes.values())
    drawn += [secrets.choice(alphabet) for _ in range(pluck_int(inputs, "length") - len(drawn))]
    secrets.SystemRandom().shuffle(drawn)
    return "".join(drawn)


def bcrypt_hash(text: str) -> str:
    import bcrypt  # noqa: PLC0415 - a plugin that makes nothing should not pay for it

    return bcrypt.hashpw(text.encode()[:BCRYPT_BYTES], bcrypt.gensalt(BCRYPT_COST)).decode()


KINDS: Final[dict[str, ResourceKind]] = {"random:index/randomPassword:RandomPassword": RandomPassword()}


class RandomPlugin(Plugin):
    package = "random"

    def kind(self, token: str) -> ResourceKind:
        if token not in KINDS:
            raise self.refuse(f"the resource type {token}")
        return KINDS[token]


if __name__ == "__main__":
    serve(RandomPlugin)
