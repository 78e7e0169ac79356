"""The fleet as data: what a page of YAML means, and everything derived from it. No Pulumi in here."""
