import os
from collections.abc import Iterator

import pytest
from live import Fleet, environment_of_a_user, make, work_tree


@pytest.fixture(scope="package")
def fleet() -> Iterator[Fleet]:
    tree_before = work_tree()
    before = dict(os.environ)
    try:
        printed, _ = make("demo", within=45 * 60)
        os.environ.update(environment_of_a_user())
        yield Fleet(printed, tree_before)
    finally:
        os.environ.clear()
        os.environ.update(before)
        make("down", within=60)
