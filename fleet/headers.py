"""What Prometheus and Alertmanager tell the browsers that their pages are open in."""

# Prometheus's page starts with a script of its own and its editor writes styles: both stand in the page itself.
_POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


def web() -> dict[str, object]:
    """For `web` of a Prometheus, a PrometheusAgent or an Alertmanager.

    Without Strict-Transport-Security: 9090 and 9093 speak plain HTTP within the cluster.
    """
    headers = {
        "contentSecurityPolicy": "; ".join(f"{what} {whence}" for what, whence in _POLICY.items()),
        "xContentTypeOptions": "NoSniff",
        "xFrameOptions": "Deny",
        # The filter that this switched on in old browsers could itself be used against a page.
        "xXSSProtection": "0",
    }
    return {"httpConfig": {"headers": headers}}
