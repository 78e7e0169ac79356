"""Fixtures: one API server for all tests here, and a Pulumi project per test."""

import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi_project import Project

from local.api_server import ApiServer, api_server, controllers


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs the built Kubernetes binaries and the pulumi CLI on PATH")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("cluster")) as running, controllers(running):
        yield running


@pytest.fixture
def project(cluster: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Project]:
    # A log record with a traceback would keep a failed program's coroutines beyond the test.
    caplog.set_level(logging.CRITICAL, "grpc._server")
    yield Project(cluster, tmp_path)
    # They complain when collected: here, where the test's filter still holds.
    gc.collect()
