"""`python -m fleet_policies state < EXPORT` judges a deployed stack, `documents` writes what follows from policies."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet_policies.config import CONFIG, config_file, read_settings
from fleet_policies.documentation import page, schema
from fleet_policies.state import State, judged

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
SCHEMA = CONFIG / "schema.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fleet_policies", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    state = commands.add_parser("state", help="judges what `pulumi stack export --show-secrets` writes")
    state.add_argument("--config", type=Path, help="instead of config/PROJECT.STACK.json")
    commands.add_parser("documents", help="writes docs/policies.md and config/schema.json")
    given = parser.parse_args(arguments)
    return _state(given.config) if given.command == "state" else _documents()


def _state(config: Path | None) -> int:
    """0 where all is well, 1 where a mandatory policy is violated, 2 where something could not be judged or read."""
    try:
        state = State(sys.stdin.read())
    except ValueError as error:
        sys.stderr.write(f"standard input: {error}\n")
        return 2
    file = config or config_file(*state.stack)
    findings = [*judged(state, read_settings(file) if file.exists() else {})]
    for finding in findings:
        for message in finding.messages:
            sys.stdout.write(f"{message}\n")
    if any(finding.verdict.violations and not finding.is_advice for finding in findings):
        return 1
    return 2 if any(finding.verdict.unjudged for finding in findings) else 0


def _documents() -> int:
    PAGE.write_text(page())
    SCHEMA.write_text(f"{json.dumps(schema(), indent=2)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
