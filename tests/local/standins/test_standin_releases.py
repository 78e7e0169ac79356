"""Helm releases through the real engine: what a user sees of install, upgrade, uninstall and their failures."""

import functools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from fake_node import LAST_WORDS, crash, fake_node
from pulumi_project import Program, Project, until

pytestmark = [
    pytest.mark.cluster,
    # The SDK drops the pending outputs of a program whose `up` failed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-words}
data: {word: {{ .Values.word | quote }}, other: {{ .Values.other | quote }}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      serviceAccountName: {{ .Values.account | default .Release.Name }}
      containers: [{name: main, image: none.invalid/none:1}]
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text('apiVersion: v2\nname: small\nversion: 1.2.3\nappVersion: "9"\n')
    (folder / "values.yaml").write_text("replicas: 0\nword: default\nother: default\naccount:\n")
    (folder / "templates" / "all.yaml").write_text(TEMPLATE)
    return folder


def release(name: str, chart: Path | str, **settings: Any) -> Program:
    """A program with one release, in a namespace of its name; settings are read on every run."""

    def program(options: pulumi.ResourceOptions) -> None:
        place = {"name": name, "namespace": name, "create_namespace": True}
        made = k8s.helm.v3.Release(name, chart=str(chart), opts=options, **{**place, **settings})
        pulumi.export("status", made.status)
        pulumi.export("resourceNames", made.resource_names)

    return program


def revision(project: Project, name: str) -> dict[str, str]:
    """The labels of the last revision that helm keeps."""
    found = project.cluster.kubectl("get", "secret", "-n", name, "-l", f"owner=helm,name={name}", "-o", "json")
    labels = [item["metadata"]["labels"] for item in json.loads(found)["items"]]
    return max(labels, key=lambda item: int(item["version"]))


def words(project: Project, name: str) -> dict[str, str]:
    return project.live("configmap", f"{name}-words", name)["data"]


def test_a_release_is_installed_upgraded_and_uninstalled(project: Project, chart: Path) -> None:
    values = {"word": "one"}
    program = release("plain", chart, values=values)
    assert project.preview(program)["create"] == 3
    assert project.up(program)["create"] == 3
    outputs = project.state("plain")["outputs"]
    assert outputs["status"] == {
        "appVersion": "9",
        "chart": "small",
        "name": "plain",
        "namespace": "plain",
        "revision": 1,
        "status": "deployed",
        "version": "1.2.3",
    }
    assert outputs["resourceNames"] == {
        "ConfigMap/v1": ["plain-words"],
        "Deployment.apps/apps/v1": ["plain"],
        "ServiceAccount/v1": ["plain/plain"],
    }
    assert outputs["version"] == "1.2.3"
    assert project.state("plain")["id"] == "plain/plain"
    assert project.up(program) == {"same": 3}
    values["word"] = "two"
    assert project.up(program) == {"same": 2, "update": 1}
    assert words(project, "plain") == {"word": "two", "other": "default"}
    assert project.state("plain")["outputs"]["status"]["revision"] == 2
    assert project.destroy()["delete"] == 3
    assert "plain" not in project.cluster.kubectl("get", "deployment", "-n", "plain", "-o", "name")


def test_a_changed_chart_on_disk_is_a_change(project: Project, chart: Path) -> None:
    program = release("edited", chart)
    project.up(program)
    (chart / "values.yaml").write_text("replicas: 0\nword: edited\nother: default\naccount:\n")
    assert project.up(program)["update"] == 1
    assert words(project, "edited")["word"] == "edited"
    assert project.up(program) == {"same": 3}
    project.destroy()


def test_values_files_are_merged_under_the_values(project: Project, chart: Path, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("word: from file\nother: from file\n")
    program = release("merged", chart, value_yaml_files=[pulumi.FileAsset(str(file))], values={"word": "given"})
    project.up(program)
    assert words(project, "merged") == {"word": "given", "other": "from file"}
    assert project.up(program) == {"same": 3}
    file.write_text("word: from file\nother: changed\n")
    assert project.up(program)["update"] == 1
    project.destroy()


def test_a_secret_value_stays_out_of_state_output_and_command_lines(project: Project, chart: Path) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        values = {"word": pulumi.Output.secret("hidden-word"), "other": "seen", "replicas": 1}
        release("hush", chart, values=values)(options)

    running = project.start(program)
    running.until(lambda: "0/1 pods available" in project.output, "helm to wait")
    helm = project.processes("helm\0")
    assert helm
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in helm]
    assert not any(b"hidden-word" in line or b"PRIVATE KEY" in line for line in lines)
    running.kill(signal.SIGINT)
    assert words(project, "hush")["word"] == "hidden-word"
    assert "seen" in project.kept_text()
    assert "hidden-word" not in project.kept_text()
    assert "hidden-word" not in project.output
    project.destroy()


def test_a_failing_release_says_why_stays_in_state_and_is_mended_by_the_next_up(project: Project, chart: Path) -> None:
    values: dict[str, object] = {"replicas": 1}
    program = release("failing", chart, values=values, timeout=12)
    with fake_node(project.cluster):
        running = project.start(program)
        running.until(lambda: "0/1 pods available" in project.output, "helm to wait")
        pod = project.cluster.kubectl("get", "pod", "-n", "failing", "-o", "name").strip().removeprefix("pod/")
        crash(project.cluster, "failing", pod, "main")
        error = running.future.exception(60)
        assert error
        said = project.output
        project.cluster.kubectl("delete", "pod", "-n", "failing", pod, "--force", "--grace-period=0")
    assert "Helm release 'failing/failing' was created, but failed to initialize completely" in said
    assert "status failed, revision 1" in said
    assert "Deployment failing: 0/1 pods available" in said
    assert f"Pod {pod}: container main: [CrashLoopBackOff]" in said
    assert f"log {pod}/main: {LAST_WORDS}" in said
    assert project.state("failing")["outputs"]["status"]["status"] == "failed"
    values["replicas"] = 0
    assert project.up(program)["update"] == 1
    assert project.state("failing")["outputs"]["status"]["status"] == "deployed"
    project.destroy()


def test_events_explain_pods_that_cannot_even_be_made(project: Project, chart: Path) -> None:
    said = project.fails(release("missing", chart, values={"replicas": 1, "account": "nobody"}, timeout=5))
    assert "event ReplicaSet missing-" in said
    assert '[FailedCreate] Error creating: pods "missing-' in said
    assert "nobody" in said
    project.destroy()


def test_an_atomic_release_that_fails_leaves_nothing_but_its_reasons(project: Project, chart: Path) -> None:
    values = {"replicas": 1, "account": "nobody"}
    said = project.fails(release("atomic", chart, values=values, timeout=12, atomic=True))
    assert "was not created" in said
    assert "FailedCreate" in said
    assert not project.knows("atomic")
    assert "atomic" not in project.cluster.kubectl("get", "deployment", "-n", "atomic", "-o", "name")
    project.destroy()


def test_skip_await_waits_for_nothing(project: Project, chart: Path) -> None:
    program = release("hasty", chart, values={"replicas": 1}, skip_await=True)
    project.up(program)
    assert project.up(program) == {"same": 3}
    project.destroy()


def test_ctrl_c_ends_helm_and_the_next_up_goes_on(project: Project, chart: Path) -> None:
    values = {"replicas": 1}
    program = release("stopped", chart, values=values)
    running = project.start(program)
    running.until(lambda: "0/1 pods available" in project.output, "helm to wait")
    running.kill(signal.SIGINT)
    until(lambda: not project.processes("standins") and not project.processes("helm\0"), "plugins and helm to end")
    assert project.knows("stopped")
    values["replicas"] = 0
    assert project.up(program)["update"] == 1
    project.destroy()


def test_after_a_killed_engine_the_next_up_takes_over_the_release_that_it_began(project: Project, chart: Path) -> None:
    values = {"replicas": 1}
    program = release("orphan", chart, values=values)
    running = project.start(program)
    running.until(lambda: "0/1 pods available" in project.output, "helm to wait")
    running.kill(signal.SIGKILL)
    until(lambda: not project.processes("standins") and not project.processes("helm\0"), "plugins and helm to end")
    project.stack(program).cancel()
    values["replicas"] = 0
    assert project.up(program)["create"] == 1
    assert "left of an interrupted run" in project.output
    assert project.state("orphan")["outputs"]["status"]["status"] == "deployed"
    project.destroy()


HOOK = """
apiVersion: batch/v1
kind: Job
metadata: {name: {{ .Release.Name }}-before, annotations: {helm.sh/hook: pre-install}}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: none.invalid/none:1}]}
"""


def test_a_hook_that_does_not_end_is_shown_and_explained(project: Project, chart: Path) -> None:
    (chart / "templates" / "hook.yaml").write_text(HOOK)
    with fake_node(project.cluster):
        running = project.start(release("hooked", chart, timeout=20))
        running.until(lambda: "waiting for Job hooked-before" in project.output, "the hook")

        def pods() -> list[str]:
            return project.cluster.kubectl("get", "pod", "-n", "hooked", "-o", "name").split()

        until(lambda: bool(pods()), "the hook's pod")
        pod = pods()[0].removeprefix("pod/")
        crash(project.cluster, "hooked", pod, "main")
        error = running.future.exception(60)
        assert error
        project.cluster.kubectl("delete", "pod", "-n", "hooked", pod, "--force", "--grace-period=0")
    assert "failed pre-install" in project.output
    assert f"log {pod}/main: {LAST_WORDS}" in project.output
    project.destroy()


def test_a_release_left_pending_by_a_killed_helm_is_mended_by_the_next_up(project: Project, chart: Path) -> None:
    values: dict[str, object] = {"replicas": 0}
    program = release("pending", chart, values=values)
    project.up(program)
    values["replicas"] = 1
    running = project.start(program)
    running.until(lambda: "0/1 pods available" in project.output, "helm to wait")
    # Held first: a plugin that sees helm die reports it, a helm that sees its plugin die writes that down.
    for name, number in (("standins", signal.SIGSTOP), ("helm\0", signal.SIGKILL), ("standins", signal.SIGKILL)):
        for pid in project.processes(name):
            os.kill(pid, number)
    assert running.future.exception(60)
    assert revision(project, "pending")["status"] == "pending-upgrade"
    values.update(replicas=0, word="mended")
    assert project.up(program)["update"] == 1
    assert "was left pending-upgrade by an interrupted run" in project.output
    assert revision(project, "pending")["status"] == "deployed"
    project.destroy()


def test_a_release_that_others_made_is_refused(project: Project, chart: Path, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(project.cluster.kubeconfig)
    place = ["--kubeconfig", str(kubeconfig), "-n", "theirs"]
    subprocess.run(["helm", "install", "theirs", str(chart), *place, "--create-namespace"], check=True)
    said = project.fails(release("theirs", chart, values={"word": "mine"}))
    assert "Helm release 'theirs/theirs' (status deployed, revision 1) already exists" in said
    assert "pulumi import" in said
    assert words(project, "theirs")["word"] == "default"
    subprocess.run(["helm", "uninstall", "theirs", *place], check=True)


def test_an_upgrade_by_hand_is_seen_by_refresh_and_undone_by_up(project: Project, chart: Path, tmp_path: Path) -> None:
    program = release("drifting", chart, values={"word": "asked"})
    project.up(program)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(project.cluster.kubeconfig)
    place = ["--kubeconfig", str(kubeconfig), "-n", "drifting"]
    subprocess.run(["helm", "upgrade", "drifting", str(chart), *place, "--set", "word=by-hand"], check=True)
    assert project.refresh()["update"] == 1
    assert project.state("drifting")["outputs"]["status"]["revision"] == 2
    assert project.up(program)["update"] == 1
    assert words(project, "drifting")["word"] == "asked"
    subprocess.run(["helm", "uninstall", "drifting", *place], check=True)
    assert project.refresh()["delete"] == 1
    project.destroy()


@pytest.fixture
def repository(chart: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a chart repository that holds the chart."""
    folder = tmp_path / "repository"
    subprocess.run(["helm", "package", str(chart), "-d", str(folder)], check=True, capture_output=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    url = f"http://127.0.0.1:{server.server_port}"
    subprocess.run(["helm", "repo", "index", str(folder), "--url", url], check=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield url
    server.shutdown()
    server.server_close()


def test_a_chart_comes_from_a_repository_at_its_version(project: Project, repository: str) -> None:
    settings = {"repository_opts": {"repo": repository}, "version": "1.2.3"}
    program = release("fetched", "small", **settings)
    project.up(program)
    assert project.up(program) == {"same": 3}
    assert project.state("fetched")["outputs"]["status"]["version"] == "1.2.3"
    said = project.fails(release("fetched", "small", **{**settings, "version": "9.9.9"}))
    assert "9.9.9" in said
    project.destroy()


def test_a_chart_that_is_nowhere_is_said_before_anything_is_made(project: Project, tmp_path: Path) -> None:
    said = project.fails(release("nowhere", tmp_path / "no-chart"))
    assert f"there is no chart at {tmp_path / 'no-chart'}" in said
    assert not project.knows("nowhere")
