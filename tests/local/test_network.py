import ipaddress
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isolation import own_network

from local import network
from local.errors import LocalError

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

    def test_one_that_a_killed_run_had_not_finished_is_taken_over(self) -> None:
        network.ensure_bridge(OWNER)
        ip("address", "flush", "dev", network.BRIDGE)
        ip("link", "set", "dev", network.BRIDGE, "down", "alias", "")
        network.ensure_bridge(OWNER)
        assert f"{network.HOST_ADDRESS}/16" in ip("address", "show", "dev", network.BRIDGE)

    def test_another_checkouts_is_named_and_left_alone(self) -> None:
        network.ensure_bridge(OTHER)
        with pytest.raises(LocalError, match=rf"belongs to the local fleet in {OTHER}: run `make down` there"):
            network.ensure_bridge(OWNER)
        network.remove(OWNER)
        assert network.BRIDGE in interfaces()

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
