"""What clusters' Prometheus and the hub's Alertmanager say fires, heard by one listener for many who wait."""

import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kubectl import ALERTMANAGER, kubectl

Labels = Mapping[str, str]

# By its pod: a Service has no address while its pod is not ready, and that is when one wants to know.
_PROMETHEUS = "/api/v1/namespaces/monitoring/pods/prometheus-kube-prometheus-stack-prometheus-0:9090/proxy/api/v1"
_FIRING = f"{_PROMETHEUS}/query?query=ALERTS%7Balertstate%3D%22firing%22%7D"
_HEARD_EVERY = 1.0


class Alarms:
    """Places are `Alertmanager` and the clusters of which Prometheus is heard."""

    def __init__(self, clusters: Collection[str]) -> None:
        self._clusters = clusters
        self._changed = threading.Condition()
        self._firing: dict[str, Sequence[Labels]] = {}

    def listen(self, ended: threading.Event) -> None:
        while not ended.wait(_HEARD_EVERY):
            firing: dict[str, Sequence[Labels]] = {}
            try:
                for cluster in self._clusters:
                    told = json.loads(kubectl(cluster, "get", "--raw", _FIRING))["data"]["result"]
                    firing[cluster] = [each["metric"] for each in told]
                told = json.loads(kubectl("hub", "get", "--raw", f"{ALERTMANAGER}/alerts?active=true"))
                firing["Alertmanager"] = [each["labels"] for each in told]
            except AssertionError:  # what is asked is what is broken
                continue
            with self._changed:
                self._firing = firing
                self._changed.notify_all()

    def until(self, place: str, alert: Labels, *, fires: bool, within: float) -> float:
        """Seconds that it took."""
        began = time.monotonic()

        def is_so() -> bool:
            firing = self._firing.get(place)
            return firing is not None and any(alert.items() <= each.items() for each in firing) is fires

        with self._changed:
            is_in_time = self._changed.wait_for(is_so, timeout=within)
            assert is_in_time, (
                f"{dict(alert)}, {fires=}, not within {within:.0f} s at {place}: {self._firing.get(place)}"
            )
        return time.monotonic() - began

    def names(self, place: str) -> set[str]:
        with self._changed:
            return {each["alertname"] for each in self._firing.get(place, ())}


@contextmanager
def listening(clusters: Collection[str]) -> Iterator[Alarms]:
    alarms, ended = Alarms(clusters), threading.Event()
    thread = threading.Thread(target=alarms.listen, args=(ended,))
    thread.start()
    try:
        yield alarms
    finally:
        ended.set()
        thread.join()
