"""The page as JSON Schema, so that editors complete and check it."""

import json
from pathlib import Path

from fleet.names import PAGE_KEY
from fleet.page.model import Page

SCHEMA = Path(__file__).parents[2] / "docs" / "fleet.schema.json"


def schema_text() -> str:
    """Of a whole `Pulumi.STACK.yaml`; the same on every run."""
    page = Page.model_json_schema()
    definitions = page.pop("$defs")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack of prometheus-fleet",
        "type": "object",
        "properties": {"config": {"type": "object", "properties": {PAGE_KEY: page}}},
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
