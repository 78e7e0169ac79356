"""What one sender may post to Alertmanager: alerts that speak for itself, or for the clusters of its region.

Whoever posts decides about every label, and an alert under another's name is more than noise: it can end that other's
alerts, or mute them. A gateway cannot rewrite what passes through, but it can compare it with a pattern.
"""

import re
from collections.abc import Collection

from fleet.plan import AlertEdge


def own_alerts(edge: AlertEdge) -> str:
    """A pattern (RE2) of a whole body as Prometheus writes it: no blanks, and labels in the order of their names.

    Whatever else is the same JSON does not match, so that there is one way alone to read what does.
    """
    labels = rf"(?:{_OTHER},)*{_cluster(edge)}(?:,{_OTHER})*"
    alert = rf'\{{(?:{_FIELD},)*"labels":\{{{labels}\}}(?:,{_FIELD})*\}}'
    return rf"^\[{alert}(?:,{alert})*\]$"


def _cluster(edge: AlertEdge) -> str:
    names = "|".join(map(re.escape, edge.clusters))
    cluster = f'"cluster":"(?:{names})"' if edge.clusters else ""
    region = f'"region":"{re.escape(edge.region)}"' if edge.region is not None else ""
    if not region:
        return cluster
    if not cluster:
        return region
    both = f"{cluster},(?:{_OTHER},)*"
    # A region's own alerts name no cluster.
    return f"{both}{region}" if edge.asserts_cluster else f"(?:{both})?{region}"


def _other_than(words: Collection[str]) -> str:
    """A pattern of any text without quotes and escapes that is none of `words`: RE2 cannot look ahead."""
    first = sorted({word[0] for word in words if word})
    branches = [
        *(f"{letter}{_other_than([word[1:] for word in words if word.startswith(letter)])}" for letter in first),
        rf'[^"\\{"".join(first)}][^"\\]*',
        *([] if "" in words else [""]),
    ]
    return f"(?:{'|'.join(branches)})"


_TEXT = r'"(?:[^"\\]|\\.)*"'
_OTHER = f'"{_other_than(["cluster", "region"])}":{_TEXT}'
_ANNOTATIONS = rf'"annotations":\{{(?:{_TEXT}:{_TEXT}(?:,{_TEXT}:{_TEXT})*)?\}}'
_FIELD = f'(?:{_ANNOTATIONS}|"(?:startsAt|endsAt|generatorURL)":{_TEXT})'
