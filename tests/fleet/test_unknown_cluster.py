"""A receiver of remote write, and a sender that is let in and says that it is somebody else."""

import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from parent import Parent, eventually, parent

from fleet.compiler import compile_page
from fleet.page import read_page

PAGE = {
    "intervals": {"scrape": "500ms", "rules": "500ms", "federation": {"floor": "1s", "regional": "1s", "global": "1s"}},
    "clusters": {
        "hub": {"tier": "global", "context": "hub"},
        "eu": {"tier": "regional", "region": "eu", "context": "eu", "discover": {"team-a": {"namespace": "shop"}}},
        "eu-1": {"tier": "leaf", "region": "eu", "context": "eu-1"},
        "shop-1": {"tier": "edge", "context": "shop-1"},
    },
}


HEADERS = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def written(labels: Mapping[str, str], seconds: float, value: float = 1.0) -> bytes:
    """A request of remote write 1.0 with one sample; snappy lets it stand uncompressed, in pieces of 60 bytes."""
    sample = b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(int(seconds * 1000))
    named = [_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())]
    request = _field(1, b"".join(named) + _field(2, sample))
    pieces = [request[start : start + 60] for start in range(0, len(request), 60)]
    return _varint(len(request)) + b"".join(bytes([len(piece) - 1 << 2]) + piece for piece in pieces)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Parent]:
    plan = compile_page(read_page(PAGE, {}))
    with parent(plan, [], tmp_path, "--web.enable-remote-write-receiver") as found:
        yield found


@pytest.mark.cluster
def test_an_unknown_cluster_is_alerted_whatever_its_timestamps_and_a_known_one_is_not(receiver: Parent) -> None:
    now = time.time()
    unknown = {"moon-now": now, "moon-behind": now - 4.5 * 3600, "moon-ahead": now + 9 * 60}
    known = dict.fromkeys(("eu-1", "shop-1", "team-a"), now)
    for cluster, moment in {**known, **unknown}.items():
        labels = {"__name__": "http_requests_total", "cluster": cluster, "job": "shop"}
        answer = receiver.client.post("/api/v1/write", content=written(labels, moment), headers=HEADERS)
        assert answer.status_code == 204, answer.text
    without = {"__name__": "region:x:sum", "region": "eu"}
    receiver.client.post("/api/v1/write", content=written(without, now), headers=HEADERS).raise_for_status()

    def alerted() -> set[str]:
        return {each["cluster"] for each in receiver.firing() if each["alertname"] == "ClusterUnknown"}

    eventually(lambda: alerted() >= set(unknown), "an alert for each", seconds=10)
    assert alerted() == set(unknown)
