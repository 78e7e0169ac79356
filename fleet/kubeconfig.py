"""Where a cluster's kubeconfig lies, and what it says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

import yaml

from fleet.errors import FleetError, Problem
from fleet.plan import ClusterPlan, Plan


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    path: Path
    text: str
    """Holds keys: keep it out of logs and messages."""


def read_kubeconfig(cluster: ClusterPlan, environ: Mapping[str, str] = os.environ) -> Kubeconfig:
    """Reads the cluster's kubeconfig, relative to the working directory (Pulumi.yaml's folder).

    Absent on the page: of `$KUBECONFIG`'s files the one that has the cluster's context, or else its first, or else
    `~/.kube/config`. Its text is reduced to the cluster's context. Raises FleetError.
    """
    return _Reader(environ).read(cluster)


def read_kubeconfigs(plan: Plan, environ: Mapping[str, str] = os.environ) -> dict[str, Kubeconfig]:
    """Those that lie in files, by cluster name; the others are Pulumi secrets. Raises FleetError with all that fail."""
    found: dict[str, Kubeconfig] = {}
    problems: list[Problem] = []
    reader = _Reader(environ)
    for name, cluster in plan.clusters.items():
        if cluster.kubeconfig_secret is None:
            try:
                found[name] = reader.read(cluster)
            except FleetError as error:
                problems.extend(error.problems)
    if problems:
        raise FleetError(problems)
    return found


@dataclass
class _File:
    path: Path
    text: str

    @cached_property
    def document(self) -> Mapping[str, object]:
        """Empty for what is no kubeconfig."""
        try:
            document = cast("object", yaml.load(self.text, Loader=yaml.CSafeLoader))
        except yaml.YAMLError:
            return {}
        return cast("Mapping[str, object]", document) if isinstance(document, Mapping) else {}

    @cached_property
    def contexts(self) -> Mapping[object, Mapping[str, object]]:
        return _named(self.document, "contexts")

    def alone(self, context: str | None) -> Kubeconfig:
        """What that context, or else the current one, takes: no cluster's provider needs the keys of the others.

        A file that does not say what belongs to the context is left as it is.
        """
        chosen = context if context is not None else self.document.get("current-context")
        inside = self.contexts.get(chosen, {}).get("context")
        if not isinstance(inside, Mapping):
            return Kubeconfig(self.path, self.text)
        names = cast("Mapping[str, object]", inside)
        parts = {
            section: _named(self.document, section).get(name)
            for section, name in (
                ("contexts", chosen),
                ("clusters", names.get("cluster")),
                ("users", names.get("user")),
            )
        }
        if None in parts.values():
            return Kubeconfig(self.path, self.text)
        reduced = {section: [part] for section, part in parts.items()}
        document = {"apiVersion": "v1", "kind": "Config", "current-context": chosen, **reduced}
        return Kubeconfig(self.path, yaml.safe_dump(document))


@dataclass
class _Reader:
    """Reads a file that many clusters share once."""

    environ: Mapping[str, str]
    _files: dict[Path, _File] = field(default_factory=dict[Path, _File])

    def read(self, cluster: ClusterPlan) -> Kubeconfig:
        return self._find(cluster).alone(cluster.context)

    def _find(self, cluster: ClusterPlan) -> _File:
        if cluster.kubeconfig is not None:
            return self._file(cluster, cluster.kubeconfig)
        listed = [Path(each) for each in self.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
        first, *others = listed or [Path("~/.kube/config")]
        if cluster.context is not None:
            for path in (first, *others):
                # kubectl passes over those of the list that are not there.
                if path.exists() and cluster.context in (found := self._file(cluster, path)).contexts:
                    return found
        return self._file(cluster, first)

    def _file(self, cluster: ClusterPlan, path: Path) -> _File:
        path = path.expanduser()
        if path not in self._files:
            try:
                self._files[path] = _File(path, path.read_text())
            except OSError as error:
                where = f"clusters.{cluster.name}.kubeconfig"
                raise FleetError([Problem(where, f"{path} cannot be read: {error.strerror}")]) from None
        return self._files[path]


def _named(document: Mapping[str, object], section: str) -> Mapping[object, Mapping[str, object]]:
    """The section's entries by name."""
    listed = document.get(section)
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    mappings = [cast("Mapping[str, object]", entry) for entry in entries if isinstance(entry, Mapping)]
    return {entry.get("name"): entry for entry in mappings}
