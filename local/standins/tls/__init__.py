"""Stand-in for the `tls` plugin: keys, certificate requests, and certificates."""
