"""Stand-in for the `kubernetes` plugin: typed objects, custom resources and Helm releases."""
