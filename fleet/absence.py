"""Clusters that an update does without, handed from `python -m fleet up` to the program that Pulumi runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

_KEPT = "FLEET_UNREACHABLE"
_LEFT_OUT = "FLEET_NOT_YET_REACHABLE"


@dataclass(frozen=True, slots=True)
class Absence:
    kept: frozenset[str] = frozenset()
    """Deployed before: they stay in the program, for what is not there is deleted, and no wave waits for them."""
    left_out: frozenset[str] = frozenset()
    """Nothing of them is deployed: below a namespace that cannot be made, the engine would end the whole update."""

    @property
    def environment(self) -> Mapping[str, str]:
        return {_KEPT: ",".join(sorted(self.kept)), _LEFT_OUT: ",".join(sorted(self.left_out))}


def absence(environ: Mapping[str, str] = os.environ) -> Absence:
    return Absence(*(frozenset(filter(None, environ.get(key, "").split(","))) for key in (_KEPT, _LEFT_OUT)))
