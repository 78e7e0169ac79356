"""What the hub's Prometheus and Alertmanager say of each other's alerts, heard by one listener for many who wait."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

from kubectl import ALERTMANAGER, kubectl

Place = Literal["Prometheus", "Alertmanager"]
Labels = Mapping[str, str]

# By its pod: a Service has no address while its pod is not ready, and that is when one wants to know.
_PROMETHEUS = "/api/v1/namespaces/monitoring/pods/prometheus-kube-prometheus-stack-prometheus-0:9090/proxy/api/v1"
_FIRING = f"{_PROMETHEUS}/query?query=ALERTS%7Balertstate%3D%22firing%22%7D"
_HEARD_EVERY = 1.0


class Alarms:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._firing: dict[Place, Sequence[Labels]] = {}

    def listen(self, ended: threading.Event) -> None:
        while not ended.wait(_HEARD_EVERY):
            try:
                told = json.loads(kubectl("hub", "get", "--raw", _FIRING))["data"]["result"]
                prometheus = [each["metric"] for each in told]
                told = json.loads(kubectl("hub", "get", "--raw", f"{ALERTMANAGER}/alerts?active=true"))
            except AssertionError:  # the hub is what is broken
                continue
            with self._changed:
                self._firing = {"Prometheus": prometheus, "Alertmanager": [each["labels"] for each in told]}
                self._changed.notify_all()

    def until(self, place: Place, alert: Labels, *, fires: bool, within: float) -> float:
        """Seconds that it took."""
        began = time.monotonic()

        def is_so() -> bool:
            return place in self._firing and self._fires(place, alert) is fires

        with self._changed:
            is_in_time = self._changed.wait_for(is_so, timeout=within)
            assert is_in_time, (
                f"{dict(alert)}, {fires=}, not within {within:.0f} s at {place}: {self._firing.get(place)}"
            )
        return time.monotonic() - began

    def fires(self, place: Place, alert: Labels) -> bool:
        with self._changed:
            return self._fires(place, alert)

    def names(self, place: Place) -> set[str]:
        with self._changed:
            return {each["alertname"] for each in self._firing.get(place, ())}

    def _fires(self, place: Place, alert: Labels) -> bool:
        return any(alert.items() <= each.items() for each in self._firing.get(place, ()))


@contextmanager
def listening() -> Iterator[Alarms]:
    alarms, ended = Alarms(), threading.Event()
    thread = threading.Thread(target=alarms.listen, args=(ended,))
    thread.start()
    try:
        yield alarms
    finally:
        ended.set()
        thread.join()
