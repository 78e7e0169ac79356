"""What NetworkPolicies mean for a packet, in the judgement of an evaluator that shares no code with the program."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml


@dataclass(frozen=True)
class Peer:
    address: str
    namespace: str | None = None
    """None for whatever is no pod to a policy: machines elsewhere, and pods on their node's own network."""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Packet:
    source: Peer
    target: Peer
    port: int
    protocol: str = "TCP"


def allowed(policies: Sequence[Mapping[str, Any]], packets: Sequence[Packet]) -> list[bool]:
    """Cyclonus's verdict on each packet."""
    listed = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "items": list(policies)}
    with TemporaryDirectory() as folder:
        policy, traffic = Path(folder, "policies.yaml"), Path(folder, "traffic.json")
        policy.write_text(yaml.safe_dump(listed))
        traffic.write_text(json.dumps([_traffic(packet) for packet in packets]))
        command = ["cyclonus", "analyze", "--mode", "query-traffic"]
        command += ["--policy-path", str(policy), "--traffic-path", str(traffic)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    verdicts = re.findall(r"IS ALLOWED\?\s*\|\s*(TRUE|FALSE)", done.stdout)
    assert len(verdicts) == len(packets), done.stdout + done.stderr
    return [verdict == "TRUE" for verdict in verdicts]


def _traffic(packet: Packet) -> Mapping[str, Any]:
    names = {number: name for name, number in packet.target.ports.items()}
    return {
        "Source": _peer(packet.source),
        "Destination": _peer(packet.target),
        "Protocol": packet.protocol,
        "ResolvedPort": packet.port,
        "ResolvedPortName": names.get(packet.port, ""),
    }


def _peer(peer: Peer) -> Mapping[str, Any]:
    if peer.namespace is None:
        return {"IP": peer.address}
    namespace = {"kubernetes.io/metadata.name": peer.namespace}
    internal = {"Namespace": peer.namespace, "NamespaceLabels": namespace, "PodLabels": dict(peer.labels)}
    return {"IP": peer.address, "Internal": internal}
