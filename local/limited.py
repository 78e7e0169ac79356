"""Programs with a container's limits, and the gateway with those of its own."""

import contextlib
import json
import secrets
import shlex
from collections.abc import Generator, Mapping
from pathlib import Path
from subprocess import Popen

from fleet.gateway import BEGINNING, Caller
from fleet.keys import generated_hash
from fleet.plan import Edge
from local import cgroups
from local.api_server import running

GATEWAY_CPU, GATEWAY_MEMORY = 0.5, 256 * 2**20
"""Processors and bytes that the gateway may use, as in its pod."""


@contextlib.contextmanager
def limited(folder: Path, *command: str, cpu: float, memory: int) -> Generator[Popen[bytes]]:
    """A process that may use so many processors and bytes, with `folder` as its own."""
    with cgroups.limited(folder, cpu, memory) as members:
        joins = " && ".join(f"echo $$ > {member}" for member in members)
        with running(folder, "sh", "-c", f"{joins} && exec {shlex.join(command)}") as process:
            yield process


@contextlib.contextmanager
def limited_gateway(folder: Path, config: object, ports: Mapping[int, int]) -> Generator[Popen[bytes]]:
    """Caddy, on other ports than in its pod."""
    text = json.dumps(config)
    for planned, port in ports.items():
        text = text.replace(f':{planned}"', f':{port}"')
    folder.mkdir()
    (folder / "caddy.json").write_text(text)
    command = ("env", "XDG_CONFIG_HOME=.", "XDG_DATA_HOME=.", "caddy", "run", "--config", "caddy.json")
    with limited(folder, *command, cpu=GATEWAY_CPU, memory=GATEWAY_MEMORY) as process:
        yield process


def caller(edge: Edge, password: str) -> Caller:
    """With a password of its own for each other generation that the edge's key accepts."""
    passwords = {each: secrets.token_hex(16) for each in edge.key.accepted} | {edge.key.generation: password}
    return Caller(
        edge,
        {generation: generated_hash(each) for generation, each in passwords.items()},
        {generation: each[:BEGINNING] for generation, each in passwords.items()},
    )
