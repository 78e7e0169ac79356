"""What Thanos is told of its bucket, where the stack's config holds it: looked through before a pod fails with it."""

from collections.abc import Iterator, Mapping

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from fleet.errors import FleetError, Problem
from fleet.names import PROJECT

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "ALIYUNOSS": ("bucket",),
    "AZURE": ("storage_account", "container"),
    "BOS": ("bucket",),
    "COS": ("bucket",),
    "GCS": ("bucket",),
    "OBS": ("bucket",),
    "OCI": ("bucket",),
    "S3": ("bucket", "endpoint"),
    "SWIFT": ("container_name",),
}
"""By type, as Thanos names them."""


def bucket_in_config(key: str, text: str) -> str:
    """`text` itself, of config key `key`. Raises FleetError, which quotes none of it, where Thanos would not start."""
    if problems := [*_problems(text)]:
        where = f"config key {PROJECT}:{key}"
        fix = (
            "# FILE is as https://thanos.io/tip/thanos/storage.md has it:\n"
            "#   {type: S3, config: {bucket: NAME, endpoint: HOST, access_key: …, secret_key: …}}\n"
            f"pulumi config set --secret {PROJECT}:{key} < FILE"
        )
        raise FleetError([Problem("thanos.objectStorage.config", f"{where} {each}", fix) for each in problems])
    return text


class _Bucket(BaseModel):
    """As Thanos reads it, which takes no other key."""

    model_config = ConfigDict(extra="forbid")

    type: str
    config: dict[str, JsonValue] = {}
    prefix: str = ""


def _problems(text: str) -> Iterator[str]:
    try:
        found = _Bucket.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError):
        yield "is no YAML mapping of type, config and perhaps prefix"
        return
    kind = found.type.upper()
    if kind not in _NEEDS:
        yield f"has a type that is none of {', '.join(_NEEDS)}"
        return
    for field in _NEEDS[kind]:
        if not found.config.get(field):
            yield f"has no config.{field}, which type {kind} needs"
