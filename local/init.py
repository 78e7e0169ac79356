"""PID 1 of a cluster: prepares its namespaces, starts its components, and ends with the first of them that ends.

The kernel then ends everything else in the PID namespace. So a cluster is whole or gone, and never half alive.
Standard library only: it runs by its path, without the project's environment, and stays in memory.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn, TypedDict, cast

# A node looks the same wherever the checkout is: these are the cluster's folder and the tools, inside.
STATE = Path("/run/fleet")
TOOLS = Path("/run/tools")

_KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}


class Component(TypedDict):
    """A program of the cluster; its output goes to `/var/log/NAME.log`."""

    name: str
    command: list[str]
    environment: dict[str, str]


class Specification(TypedDict):
    """All that a node is made from; two that are equal make the same node."""

    name: str
    address: str  # with the length of its prefix
    gateway: str
    pod_subnet: str
    state: str
    tools: str
    cgroups: list[str]
    servers: list[Component]
    clients: list[Component]


def main(specification: Path) -> None:
    """Say `isolated` on stdout, then follow the lines on stdin.

    If they end before `stay`, whoever started this cluster is dead, and the cluster ends too.
    """
    spec = cast("Specification", json.loads(specification.read_text()))
    for cgroup in spec["cgroups"]:
        Path(cgroup).write_text("0")
    socket.sethostname(spec["name"])
    _mount(spec)
    sys.stdout.write("isolated\n")
    sys.stdout.flush()
    if sys.stdin.readline() != "network\n":
        return
    _configure_network(spec)
    running: dict[int, str] = {}
    starting = threading.Lock()  # one that ends at once must not be missed because it is not listed yet

    def start(components: list[Component]) -> None:
        with starting:
            for component in components:
                running[_start(component)] = component["name"]

    def follow() -> None:
        if sys.stdin.readline() == "clients\n":
            start(spec["clients"])
            if sys.stdin.readline() == "stay\n":
                return
        _leave("start: given up by the program that had begun it")

    start(spec["servers"])
    threading.Thread(target=follow).start()
    while True:
        pid, status = os.wait()
        with starting:
            name = running.get(pid)
        if name:
            code = os.waitstatus_to_exitcode(status)
            how = f"ended by signal {-code}" if code < 0 else f"exited with status {code}"
            _leave(f"{name}: {how}")


def _mount(spec: Specification) -> None:
    def mount(*arguments: str | Path) -> None:
        subprocess.run(["mount", *arguments], check=True)

    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for source, target in ((spec["state"], STATE), (spec["tools"], TOOLS)):
        target.mkdir()
        mount("--bind", source, target)
    # Kubelet, containerd and the CNI plugins write below these, some of them at paths that nothing can change.
    mount("--bind", STATE / "lib", "/var/lib")
    mount("--bind", STATE / "log", "/var/log")
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp")  # noqa: S108  # hides the host's
    # Which network interfaces /sys shows is decided when it is mounted.
    cgroups = Path("/run/cgroup")
    cgroups.mkdir()
    mount("--rbind", "/sys/fs/cgroup", cgroups)
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("--move", cgroups, "/sys/fs/cgroup")
    # Kubelet insists on these and would set them for the whole machine: it is shown that they are set.
    for name, value in _KERNEL_SETTINGS.items():
        shown = Path("/run/sysctl") / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(value)
        mount("--bind", shown, Path("/proc/sys") / name)
    # Without this no pod can have a volume whose mounts propagate, such as node-exporter's view of the host.
    mount("--make-rshared", "/")


def _configure_network(spec: Specification) -> None:
    commands = (
        "link set dev lo up",
        f"address add {spec['address']} dev eth0",
        "link set dev eth0 up",
        f"route add default via {spec['gateway']}",
    )
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    rule = ["POSTROUTING", "--source", spec["pod_subnet"], "--out-interface", "eth0", "--jump", "MASQUERADE"]
    subprocess.run(["iptables", "--wait", "--table", "nat", "--append", *rule], check=True)


def _start(component: Component) -> int:
    with open(f"/var/log/{component['name']}.log", "wb") as log:  # noqa: PTH123  # Path.open is no shorter here
        return os.posix_spawnp(
            component["command"][0],
            component["command"],
            {**os.environ, **component["environment"]},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
            ],
        )


def _leave(reason: str) -> NoReturn:
    """Not by an exception: in a thread, that would end the thread alone."""
    sys.stderr.write(f"{reason}\n")
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
