"""Remote-write 1.0 requests as Prometheus sends them, made beforehand so that making them is not what is measured."""

import struct
from collections.abc import Mapping, Sequence

import cramjam

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}

Labels = Mapping[str, str]


def request(series: Sequence[bytes], value: float, milliseconds: int) -> bytes:
    """The compressed body, with one sample for each of `series`, which are `encoded`; time is since 1970.

    Values differ, as measured ones do: equal ones would be compressed away.
    """
    # In prometheus.WriteRequest and below, every field that is used is number 1 or 2.
    at = b"\x10" + _varint(milliseconds)
    samples = (
        _field(1, labels + _field(2, b"\x09" + struct.pack("<d", value + number / 7) + at))
        for number, labels in enumerate(series)
    )
    return bytes(cramjam.snappy.compress_raw(b"".join(samples)))


def encoded(labels: Labels) -> bytes:
    """A series' labels, sorted as receivers demand."""
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())
    )


def _field(number: int, content: bytes) -> bytes:
    """A field that has a length."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004 (seven bits go into a byte)
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
