"""The bridge that joins the local clusters with this machine, and each cluster's cable to it.

The host needs no firewall rule, route or forwarding of its own: it is a neighbour of the nodes on the bridge.
"""

import hashlib
import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from local.errors import LocalError
from local.progress import say
from local.run_lock import run_lock

BRIDGE = "fleet0"
SUBNET = ipaddress.IPv4Network("172.30.0.0/16")
HOST_ADDRESS = SUBNET[1]
MOST_NODES = 254


class _Link(TypedDict):
    ifindex: int
    ifname: str
    address: NotRequired[str]
    ifalias: NotRequired[str]
    master: NotRequired[str]


class _Address(TypedDict):
    local: str
    prefixlen: int


class _Interface(TypedDict):
    ifname: str
    addr_info: list[_Address]


class _Route(TypedDict):
    dst: str
    dev: str


def node_address(number: int) -> str:
    """Address of the fleet's `number`th node, counted from 1."""
    if not 1 <= number <= MOST_NODES:
        raise LocalError(f"The local fleet has room for {MOST_NODES} clusters; number {number} is outside.")
    return str(SUBNET[number * 256 + 2])


def ensure_bridge(owner: Path) -> None:
    """Make the bridge exist as `owner`'s (a checkout's `.local`), or raise `LocalError` about who uses it.

    One that a fleet has left of which nothing runs is deleted and made anew. The bridge's hardware address says whose
    it is, as nothing else can be set in the same step that makes it: a kill between two steps must not leave a bridge
    that nobody owns.
    """
    bridge = _bridge()
    if bridge is not None and not _owned(bridge, owner):
        _delete_abandoned(bridge)
        bridge = None
    if bridge is None:
        _check_range_is_free()
        _ip("link", "add", "name", BRIDGE, "address", _hardware_address(owner), "type", "bridge")
    _ip("link", "set", "dev", BRIDGE, "alias", str(owner))
    _ip("address", "replace", f"{HOST_ADDRESS}/{SUBNET.prefixlen}", "dev", BRIDGE)
    _ip("link", "set", "dev", BRIDGE, "up")


def _delete_abandoned(bridge: _Link) -> None:
    """Raises LocalError where another checkout's fleet may use it, or where no checkout has made it."""
    holder = bridge.get("ifalias")
    if not holder:
        raise LocalError(
            f"A network interface {BRIDGE} exists that this project did not make:"
            f" rename it or remove it with `ip link delete {BRIDGE}`."
        )
    with run_lock(Path(holder)) as is_held:  # or the holder's next run could start a cluster meanwhile
        is_used = any(link.get("master") == BRIDGE for link in _links())
        if is_used or not is_held or not _owned(bridge, Path(holder)):
            raise LocalError(
                f"Network interface {BRIDGE} belongs to the local fleet in {holder}: run `make down` there"
                f" (or, if that folder is gone, `ip link delete {BRIDGE}`)."
            )
        # By its number, as somebody else may have made a new one of this name.
        _ip("link", "delete", "dev", f"if{bridge['ifindex']}")
    say(f"network interface {BRIDGE} is made anew: the local fleet in {holder} had left it, and nothing of it runs")


def attach(owner: Path, number: int, process: int) -> None:
    """Join the network namespace of `process` to the bridge: `eth0` inside, `fleet-NUMBER` outside.

    A node keeps its hardware address when it is started again: its neighbours remember it for a minute.
    """
    cable = f"fleet-{number}"
    if any(link["ifname"] == cable for link in _cables()):  # the kernel has not yet let go of the last one's
        _ip("link", "delete", "dev", cable, missing_ok=True)
    inside = f"peer name eth0 address {_hardware_address(owner, number)} netns {process}"
    _ip(*f"link add name {cable} master {BRIDGE} up type veth {inside}".split())


def remove(owner: Path) -> None:
    """Remove what `owner` has of bridge and cables; another's are left alone."""
    if shutil.which("ip") is None:  # then nothing of ours can be there
        return
    bridge = _bridge()
    if bridge is None or not _owned(bridge, owner):
        return
    for link in _cables():
        _ip("link", "delete", "dev", link["ifname"], missing_ok=True)
    _ip("link", "delete", "dev", BRIDGE)


def _hardware_address(owner: Path, number: int = 0) -> str:
    """Of the bridge, or of the `number`th node."""
    locally_administered = 2
    digest = hashlib.sha256(str(owner).encode()).digest()
    return bytes([locally_administered, *digest[:4], number]).hex(":")


def _owned(bridge: _Link, owner: Path) -> bool:
    return bridge.get("address") == _hardware_address(owner)


def _bridge() -> _Link | None:
    return next((link for link in _links() if link["ifname"] == BRIDGE), None)


def _cables() -> list[_Link]:
    return [link for link in _links() if link.get("master") == BRIDGE and re.fullmatch(r"fleet-\d+", link["ifname"])]


def _links() -> list[_Link]:
    return cast("list[_Link]", json.loads(_ip("-json", "link", "show")))


def _check_range_is_free() -> None:
    interfaces = cast("list[_Interface]", json.loads(_ip("-json", "-4", "address", "show")))
    routes = cast("list[_Route]", json.loads(_ip("-json", "-4", "route", "show", "table", "main")))
    users = [
        (interface["ifname"], f"{address['local']}/{address['prefixlen']}")
        for interface in interfaces
        for address in interface.get("addr_info", [])
    ] + [(route.get("dev", "no interface"), route["dst"]) for route in routes if route["dst"] != "default"]
    for interface, used in users:
        if ipaddress.IPv4Interface(used).network.overlaps(SUBNET):
            raise LocalError(
                f"The local fleet needs the address range {SUBNET}, but {interface} uses {used}:"
                f" see `ip address show` and `ip route show`, and remove it or give it another range."
            )


def _ip(*arguments: str, missing_ok: bool = False) -> str:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    # The first is what ip says where the name is unknown, the second the kernel where the device went meanwhile.
    is_missing = any(words in result.stderr for words in ("Cannot find device", "No such device"))
    if result.returncode and not (missing_ok and is_missing):
        raise LocalError(f"`ip {' '.join(arguments)}` failed: {result.stderr.strip()}")
    return result.stdout
