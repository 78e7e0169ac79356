"""Versions that the program ships by default; a page may name others."""

# renovate: datasource=docker depName=ghcr.io/prometheus-community/charts/kube-prometheus-stack
CHART = "88.5.3"
CHART_SOURCE = "oci://ghcr.io/prometheus-community/charts/kube-prometheus-stack"

# renovate: datasource=docker depName=docker.io/library/caddy
CADDY_IMAGE = "docker.io/library/caddy:2.11.9"

# renovate: datasource=docker depName=quay.io/thanos/thanos
THANOS_IMAGE = "quay.io/thanos/thanos:v0.42.4"

# Of the Pod Security Standards, as in the Kubernetes that they are tried on: what a newer one adds waits for a change
# here. An API server that does not have it yet takes its own latest.
POD_SECURITY = "v1.36"

# Of the hook that updates the CRDs; the chart itself says `latest`.
# renovate: datasource=docker depName=docker.io/library/busybox
BUSYBOX = "1.37.0"


def pulled_from(registry: str | None, image: str) -> str:
    """`registry` is a mirror in place of the image's own."""
    host, _, repository = image.partition("/")
    return f"{registry or host}/{repository}"
