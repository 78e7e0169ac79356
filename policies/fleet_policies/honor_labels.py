from collections.abc import Iterator, Mapping

from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy
from pulumi_policy.proxy import UnknownValueError

from fleet_policies.tree import mappings

_REMEDY = "set `honor_labels: true` on the job, or the labels of every federated series are renamed to exported_*"


def violations(props: Mapping[str, object], unknown: list[UnknownValueError]) -> Iterator[str]:
    """A message for each scrape job on `/federate` that renames its child's labels, wherever it stands in `props`."""
    for path, mapping in mappings(props, unknown):
        if _get(mapping, "metrics_path", unknown) == "/federate":
            honored = _get(mapping, "honor_labels", unknown)
            if honored is not True and "honor_labels" not in _unknown_keys(path, unknown):
                job = _get(mapping, "job_name", unknown)
                yield f"{'.'.join(path)}: job {job!r} scrapes /federate without honor_labels; {_REMEDY}"
        if _get(mapping, "overrideHonorLabels", unknown) is True:
            yield f"{'.'.join(path)}: overrideHonorLabels turns honor_labels off in every job that the operator makes"


def _get(mapping: Mapping[str, object], key: str, unknown: list[UnknownValueError]) -> object:
    try:
        return mapping.get(key)
    except UnknownValueError as error:
        unknown.append(error)
        return None


def _unknown_keys(path: tuple[str, ...], unknown: list[UnknownValueError]) -> set[str]:
    return {error.props[-1] for error in unknown if tuple(error.props[:-1]) == path}


def _validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
    unknown: list[UnknownValueError] = []
    for message in violations(args.props, unknown):
        report(message, None)
    for error in unknown:
        if error.props[-1] == "honor_labels":
            # The engine reports it as not judged in this preview, instead of a silent pass.
            raise error


honor_labels = ResourceValidationPolicy(
    name="honor-labels",
    description="A parent keeps the labels of the series that it federates.",
    enforcement_level=EnforcementLevel.MANDATORY,
    validate=_validate,
)
