import ipaddress
import itertools
import json
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isolation import own_network

from local import network
from local.errors import LocalError
from local.run_lock import run_lock

OWNER = Path("/checkout with a space/.local")
OTHER = Path("/other/.local")
NUMBERS = st.integers(min_value=1, max_value=network.MOST_NODES)


@given(one=NUMBERS, another=NUMBERS)
def test_each_node_has_an_address_of_its_own_on_the_bridge(one: int, another: int) -> None:
    addresses = [network.node_address(number) for number in (one, another)]
    assert all(ipaddress.ip_address(address) in network.SUBNET for address in addresses)
    assert str(network.HOST_ADDRESS) not in addresses
    assert (addresses[0] == addresses[1]) == (one == another)


def test_the_first_nodes_have_the_documented_addresses() -> None:
    assert [network.node_address(number) for number in (1, 2)] == ["172.30.1.2", "172.30.2.2"]


@pytest.mark.parametrize("number", [0, 255])
def test_a_number_without_an_address_is_refused(number: int) -> None:
    with pytest.raises(LocalError, match="254 clusters"):
        network.node_address(number)


@pytest.fixture
def isolated() -> Iterator[None]:
    with own_network():
        yield


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def interfaces() -> set[str]:
    return {link["ifname"] for link in json.loads(ip("-json", "link", "show"))}


def holder() -> str:
    (bridge,) = json.loads(ip("-json", "link", "show", "dev", network.BRIDGE))
    return bridge["ifalias"]


def refuses(other: Path) -> bool:
    with pytest.raises(LocalError, match=f"belongs to the local fleet in {other}: run `make down` there"):
        network.ensure_bridge(OWNER)
    return holder() == str(other)


@contextmanager
def node() -> Generator[int]:
    """A process in a network namespace of its own, as a cluster's first one is."""
    command = ["unshare", "--net", "bash", "-c", "echo ready; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def killed_after(steps: int) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs commands as `subprocess.run` does, until that many were run."""
    run, counted = subprocess.run, itertools.count()

    def run_or_die(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        if next(counted) == steps:
            raise KeyboardInterrupt
        return run(*arguments, **options)

    return run_or_die


@pytest.mark.cluster
@pytest.mark.usefixtures("isolated")
class TestBridge:
    def test_what_was_made_is_removed(self) -> None:
        before = interfaces()
        network.ensure_bridge(OWNER)
        network.ensure_bridge(OWNER)
        assert network.BRIDGE in interfaces()
        network.remove(OWNER)
        network.remove(OWNER)
        assert interfaces() == before

    @pytest.mark.parametrize("gone", ["fleet-9", "if9999"])  # unknown to ip itself, and to the kernel alone
    def test_a_cable_that_the_kernel_removes_first_is_no_error(
        self, gone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        network.ensure_bridge(OWNER)
        monkeypatch.setattr(network, "_cables", lambda: [{"ifname": gone}])
        network.remove(OWNER)
        assert network.BRIDGE not in interfaces()

    def test_one_that_a_killed_run_had_not_finished_is_taken_over(self) -> None:
        network.ensure_bridge(OWNER)
        ip("address", "flush", "dev", network.BRIDGE)
        ip("link", "set", "dev", network.BRIDGE, "down", "alias", "")
        network.ensure_bridge(OWNER)
        assert f"{network.HOST_ADDRESS}/16" in ip("address", "show", "dev", network.BRIDGE)

    def test_another_checkouts_with_a_cluster_is_named_and_left_alone(self) -> None:
        network.ensure_bridge(OTHER)
        with node() as process:
            network.attach(OTHER, 1, process)
            before = interfaces()
            assert refuses(OTHER)
            network.remove(OWNER)
            assert interfaces() == before

    def test_another_checkouts_that_a_run_holds_is_named_and_left_alone(self, tmp_path: Path) -> None:
        network.ensure_bridge(tmp_path)
        with run_lock(tmp_path):
            assert refuses(tmp_path)

    @pytest.mark.parametrize("is_gone", [True, False])
    def test_another_checkouts_that_nothing_uses_is_made_anew(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_gone: bool
    ) -> None:
        other = tmp_path / ".local"
        if not is_gone:
            other.mkdir()
        network.ensure_bridge(other)
        ip("address", "add", "172.31.0.1/24", "dev", network.BRIDGE)
        network.ensure_bridge(OWNER)
        assert holder() == str(OWNER)
        assert "172.31.0.1" not in ip("address", "show", "dev", network.BRIDGE)
        said = capsys.readouterr().err.split()
        assert " ".join(said) == (
            f"network interface fleet0 is made anew: the local fleet in {other} had left it, and nothing of it runs"
        )
        network.remove(other)
        assert network.BRIDGE in interfaces()

    def test_the_next_run_goes_on_from_any_step_of_making_it_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for steps in itertools.count():
            network.ensure_bridge(OTHER)
            with monkeypatch.context() as patched:
                patched.setattr(subprocess, "run", killed_after(steps))
                try:
                    network.ensure_bridge(OWNER)
                except KeyboardInterrupt:
                    was_killed = True
                else:
                    was_killed = False
            network.ensure_bridge(OWNER)
            assert holder() == str(OWNER)
            assert f"{network.HOST_ADDRESS}/16" in ip("address", "show", "dev", network.BRIDGE)
            if not was_killed:
                break
        assert steps > 5  # it was killed before and after each change: delete, add, alias, address, up

    def test_one_whose_maker_is_unknown_is_left_alone(self) -> None:
        network.ensure_bridge(OTHER)
        ip("link", "set", "dev", network.BRIDGE, "alias", "/moved/.local")
        assert refuses(Path("/moved/.local"))

    def test_a_strangers_is_named_and_left_alone(self) -> None:
        ip("link", "add", "name", network.BRIDGE, "type", "bridge")
        with pytest.raises(LocalError, match="that this project did not make"):
            network.ensure_bridge(OWNER)
        network.remove(OWNER)
        assert network.BRIDGE in interfaces()

    @pytest.mark.parametrize("used", ["172.30.7.1/24", "172.16.0.1/12"])
    def test_an_address_range_in_use_is_refused_with_its_user(self, used: str) -> None:
        ip("link", "add", "name", "other0", "type", "bridge")
        ip("address", "add", used, "dev", "other0")
        with pytest.raises(LocalError, match=f"but other0 uses {used}"):
            network.ensure_bridge(OWNER)
        assert network.BRIDGE not in interfaces()

    def test_a_route_into_the_range_is_refused(self) -> None:
        ip("link", "add", "name", "other0", "up", "type", "bridge")
        ip("route", "add", "172.30.128.0/17", "dev", "other0")
        with pytest.raises(LocalError, match=r"other0 uses 172\.30\.128\.0/17"):
            network.ensure_bridge(OWNER)
