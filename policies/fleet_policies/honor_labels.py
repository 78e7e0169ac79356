from collections.abc import Iterator, Mapping

from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy
from pulumi_policy.proxy import UnknownValueError

from fleet_policies.tree import mappings


def violations(props: Mapping[str, object], unknown: list[UnknownValueError]) -> Iterator[str]:
    """A message for each scrape job on `/federate` that renames its child's labels, wherever it stands in `props`.

    Jobs come as Prometheus writes them (`metrics_path`), as ScrapeConfig (`metricsPath`) and as endpoint of a
    ServiceMonitor or PodMonitor (`path`). What cannot be known yet is added to `unknown`.
    """
    for path, mapping in mappings(props, unknown):
        for path_key, honor_key in _SPELLINGS:
            if _get(mapping, path_key) == "/federate" and not _is_unknown(mapping, honor_key):
                honored = _get(mapping, honor_key)
                if honored is not True:
                    job = _get(mapping, "job_name") or "/".join(path)
                    yield f"{'.'.join(path)}: job {job!r} scrapes /federate without {honor_key}; {_remedy(honor_key)}"
        if _get(mapping, "overrideHonorLabels") is True:
            yield f"{'.'.join(path)}: overrideHonorLabels turns honor_labels off in every job that the operator makes"


_SPELLINGS = (("metrics_path", "honor_labels"), ("metricsPath", "honorLabels"), ("path", "honorLabels"))

# Unknown values of these keys say nothing about labels; anything else might hide a job.
_HARMLESS = {"targets", "params", "basic_auth", "remoteWrite", "externalLabels"}


def _remedy(honor_key: str) -> str:
    return f"set `{honor_key}: true` on the job, or the labels of every federated series are renamed to exported_*"


def _get(mapping: Mapping[str, object], key: str) -> object:
    return None if _is_unknown(mapping, key) else mapping.get(key)


def _is_unknown(mapping: Mapping[str, object], key: str) -> bool:
    try:
        mapping.get(key)
    except UnknownValueError:
        return True
    return False


def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
    unknown: list[UnknownValueError] = []
    for message in violations(args.props, unknown):
        report(message, None)
    for error in unknown:
        if args.resource_type in _JUDGED and not _HARMLESS.intersection(error.props):
            # The engine says that this was not judged in the preview, instead of a silent pass.
            raise error


_JUDGED = {
    "kubernetes:helm.sh/v3:Release",
    "kubernetes:monitoring.coreos.com/v1alpha1:ScrapeConfig",
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor",
    "kubernetes:monitoring.coreos.com/v1:PodMonitor",
}

honor_labels = ResourceValidationPolicy(
    name="honor-labels",
    description="A parent keeps the labels of the series that it federates.",
    enforcement_level=EnforcementLevel.MANDATORY,
    validate=validate,
)
