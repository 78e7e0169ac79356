"""Versions that the program ships by default; a page may name others."""

# renovate: datasource=docker depName=ghcr.io/prometheus-community/charts/kube-prometheus-stack
CHART = "88.5.3"
CHART_SOURCE = "oci://ghcr.io/prometheus-community/charts/kube-prometheus-stack"

# renovate: datasource=docker depName=docker.io/library/caddy
CADDY_IMAGE = "docker.io/library/caddy:2.11.9"

# Of the hook that updates the CRDs; the chart itself says `latest`.
# renovate: datasource=docker depName=docker.io/library/busybox
BUSYBOX = "1.37.0"
