"""Objects through the real engine: what a user sees of create, update, replace, delete, refresh and their failures."""

import signal

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi_project import Project, nothing, until

pytestmark = [
    pytest.mark.cluster,
    # The SDK drops the pending outputs of a program whose `up` failed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def config_map(name: str, **data: str) -> k8s.core.v1.ConfigMapInitArgs:
    return k8s.core.v1.ConfigMapInitArgs(metadata={"name": name, "namespace": "default"}, data=data)


def deployment(name: str, replicas: int, options: pulumi.ResourceOptions, **annotations: str) -> k8s.apps.v1.Deployment:
    labels = {"app": name}
    resources = {"requests": {"cpu": "0.5", "memory": "1024Mi"}}
    container = {
        "name": "main",
        "image": "none.invalid/none:1",
        "resources": resources,
        "ports": [{"containerPort": 80}],
    }
    return k8s.apps.v1.Deployment(
        name,
        metadata={"name": name, "namespace": "default", "annotations": annotations},
        spec={
            "replicas": replicas,
            "selector": {"match_labels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        opts=options,
    )


def test_an_object_is_created_updated_in_place_and_deleted(project: Project) -> None:
    word = "one"

    def program(options: pulumi.ResourceOptions) -> None:
        metadata = {"name": "worker", "namespace": "default", "labels": {"word": word}}
        made = k8s.core.v1.ServiceAccount("worker", metadata=metadata, opts=options)
        pulumi.export("uid", made.metadata.uid)

    assert project.preview(program)["create"] == 3
    assert project.up(program)["create"] == 3
    uid = project.live("serviceaccount", "worker")["metadata"]["uid"]
    assert project.up(program) == {"same": 3}
    word = "two"
    assert project.up(program) == {"same": 2, "update": 1}
    live = project.live("serviceaccount", "worker")
    assert live["metadata"]["labels"] == {"word": "two"}
    assert live["metadata"]["uid"] == uid
    assert project.destroy()["delete"] == 3
    assert "worker" not in project.cluster.kubectl("get", "serviceaccount", "-o", "name")
    until(lambda: not project.processes("standins"), "the plugins to end")


def test_an_object_without_a_name_gets_one_and_keeps_it(project: Project) -> None:
    word = "one"

    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ServiceAccount("made", metadata={"labels": {"word": word}}, opts=options)

    project.up(program)
    name = project.state("made")["id"].removeprefix("default/")
    assert name.startswith("made-")
    live = project.live("serviceaccount", name)
    assert live["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    word = "two"
    assert project.up(program)["update"] == 1
    assert project.state("made")["id"] == f"default/{name}"
    project.destroy()


def test_changed_data_replaces_a_config_map_unless_it_is_mutable(project: Project) -> None:
    word = "one"

    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("fixed", config_map("fixed", word=word), opts=options)

    project.up(program)
    uid = project.live("configmap", "fixed")["metadata"]["uid"]
    word = "two"
    assert project.up(program) == {"same": 2, "replace": 1}
    replaced = project.live("configmap", "fixed")
    assert replaced["data"] == {"word": "two"}
    assert replaced["metadata"]["uid"] != uid
    word = "three"
    project.settings["enable_config_map_mutable"] = True
    assert project.up(program)["update"] == 2  # the provider and the ConfigMap
    assert project.live("configmap", "fixed")["metadata"]["uid"] == replaced["metadata"]["uid"]
    project.destroy()


def test_a_changed_selector_replaces_a_deployment(project: Project) -> None:
    name = "first"

    def program(options: pulumi.ResourceOptions) -> None:
        labels = {"app": name}
        containers = [{"name": "main", "image": "none.invalid/none:1"}]
        k8s.apps.v1.Deployment(
            "workload",
            metadata={"name": "workload", "namespace": "default"},
            spec={
                "replicas": 0,
                "selector": {"match_labels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
            opts=options,
        )

    project.up(program)
    name = "second"
    assert project.up(program) == {"same": 2, "replace": 1}
    project.destroy()


def test_server_defaults_and_spellings_are_no_change(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        deployment("spelled", 0, options)
        ports = [{"port": 80, "name": "http"}]
        spec = {"selector": {}, "type": "ExternalName", "external_name": "example.invalid", "ports": ports}
        k8s.core.v1.Service("outside", metadata={"name": "outside", "namespace": "default"}, spec=spec, opts=options)
        k8s.core.v1.Secret("empty", metadata={"name": "empty", "namespace": "default"}, data={}, opts=options)

    project.up(program)
    assert project.up(program) == {"same": 5}
    assert project.refresh() == {"same": 5}
    assert project.up(program) == {"same": 5}
    project.destroy()


def test_a_change_made_by_hand_is_seen_by_refresh_and_undone_by_up(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        patch = {"pulumi.com/patchForce": "true"}
        metadata = {"name": "drifting", "namespace": "default", "labels": {"word": "asked"}, "annotations": patch}
        k8s.core.v1.ServiceAccount("drifting", metadata=metadata, opts=options)
        k8s.core.v1.ServiceAccount("vanishing", metadata={"name": "vanishing", "namespace": "default"}, opts=options)

    project.up(program)
    project.cluster.kubectl("label", "--overwrite", "serviceaccount", "drifting", "word=by-hand")
    project.cluster.kubectl("delete", "serviceaccount", "vanishing")
    assert project.refresh() == {"same": 2, "update": 1, "delete": 1}
    assert project.state("drifting")["inputs"]["metadata"]["labels"] == {"word": "by-hand"}
    assert project.up(program) == {"same": 2, "update": 1, "create": 1}
    assert project.live("serviceaccount", "drifting")["metadata"]["labels"] == {"word": "asked"}
    project.destroy()


def test_a_field_that_somebody_else_owns_is_not_taken_silently(project: Project) -> None:
    word = "asked"

    def program(options: pulumi.ResourceOptions) -> None:
        metadata = {"name": "shared", "namespace": "default", "labels": {"word": word}}
        k8s.core.v1.ServiceAccount("shared", metadata=metadata, opts=options)

    project.up(program)
    project.cluster.kubectl(
        "label", "--field-manager=somebody", "--overwrite", "serviceaccount", "shared", "word=theirs"
    )
    project.refresh()
    said = project.fails(program)
    assert "others own fields" in said
    assert '"somebody"' in said
    assert "pulumi.com/patchForce" in said
    project.destroy()


def test_secrets_stay_secret_in_state_and_output(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        place = {"namespace": "default"}
        k8s.core.v1.Secret(
            "plain", metadata={"name": "plain", **place}, string_data={"key": "hidden-word"}, opts=options
        )
        label = pulumi.Output.secret("secret-label")
        k8s.core.v1.ServiceAccount(
            "labelled", metadata={"name": "labelled", "labels": {"word": label}, **place}, opts=options
        )

    project.up(program)
    for word in ("hidden-word", "aGlkZGVuLXdvcmQ", "secret-label"):
        assert word not in project.kept_text()
        assert word not in project.output
    project.refresh()
    assert "aGlkZGVuLXdvcmQ" not in project.kept_text()
    assert "secret-label" not in project.kept_text()
    assert project.live("secret", "plain")["data"] == {"key": "aGlkZGVuLXdvcmQ="}
    project.destroy()


def test_a_custom_resource_is_previewed_before_its_definition_exists(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        k8s.apiextensions.CustomResource(
            "widget",
            api_version="example.com/v1",
            kind="Widget",
            metadata={"name": "widget", "namespace": "default"},
            spec={"size": 1},
            opts=options,
        )

    assert project.preview(program)["create"] == 3
    running = project.start(program)
    running.until(lambda: "try again" in project.output, "a first try")
    project.cluster.kubectl("apply", "-f", "-", stdin=WIDGETS)
    running.future.result(60)
    assert project.live("widget", "widget")["spec"] == {"size": 1}
    project.cluster.kubectl("delete", "crd", "widgets.example.com")
    assert project.destroy()["delete"] == 3


def test_what_exists_already_is_refused_and_can_be_imported(project: Project) -> None:
    project.cluster.kubectl("create", "configmap", "theirs", "--from-literal=word=theirs")

    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("theirs", config_map("theirs", word="mine"), opts=options)

    said = project.fails(program)
    assert "ConfigMap 'default/theirs' already exists" in said
    assert "pulumi import" in said
    assert project.live("configmap", "theirs")["data"] == {"word": "theirs"}

    def importing(options: pulumi.ResourceOptions) -> None:
        imported = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(import_="default/theirs"))
        k8s.core.v1.ConfigMap("theirs", config_map("theirs", word="theirs"), opts=imported)

    assert project.up(importing).get("import") == 1
    project.destroy()


def test_a_deployment_that_does_not_become_ready_fails_with_why_and_stays_in_state(project: Project) -> None:
    replicas = 1

    def program(options: pulumi.ResourceOptions) -> None:
        deployment("stuck", replicas, options, **{"pulumi.com/timeoutSeconds": "3"})

    said = project.fails(program)
    assert "Deployment was created, but 'stuck' timed out after 3 s" in said
    assert "MinimumReplicasUnavailable" in said
    assert project.knows("stuck")
    replicas = 0
    assert project.up(program)["update"] == 1
    project.destroy()


def test_skip_await_waits_for_nothing(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        deployment("hasty", 1, options, **{"pulumi.com/skipAwait": "true"})

    project.up(program)
    project.destroy()


def test_ctrl_c_ends_a_wait_and_the_next_up_goes_on(project: Project) -> None:
    replicas = 1

    def program(options: pulumi.ResourceOptions) -> None:
        deployment("interrupted", replicas, options)

    running = project.start(program)
    running.until(lambda: "0/1 pods available" in project.output, "the wait for pods")
    said = running.kill(signal.SIGINT)
    assert "was cancelled before it was ready" in said
    until(lambda: not project.processes("standins"), "the plugins to end")
    assert project.knows("interrupted")
    replicas = 0
    assert project.up(program)["update"] == 1
    project.destroy()


def test_after_a_killed_engine_plugins_end_and_the_next_up_takes_over_what_it_made(project: Project) -> None:
    replicas = 1

    def program(options: pulumi.ResourceOptions) -> None:
        deployment("orphan", replicas, options)

    running = project.start(program)
    running.until(lambda: "0/1 pods available" in project.output, "the wait for pods")
    running.kill(signal.SIGKILL)
    until(lambda: not project.processes("standins"), "the plugins to end")
    uid = project.live("deployment", "orphan")["metadata"]["uid"]
    project.stack(program).cancel()
    replicas = 0
    assert project.up(program)["create"] == 1
    assert "left of an interrupted run" in project.output
    assert project.live("deployment", "orphan")["metadata"]["uid"] == uid
    project.destroy()


def test_a_forced_replacement_under_the_same_name_loses_nothing(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        metadata = {"name": "kept", "namespace": "default", "labels": {"word": "asked"}}
        k8s.core.v1.ServiceAccount("kept", metadata=metadata, opts=options)

    project.up(program)
    project.up(program, replace=[project.state("kept")["urn"]])
    assert "stays: its replacement is the same object" in project.output
    assert project.live("serviceaccount", "kept")
    assert project.up(program) == {"same": 3}
    project.destroy()


def test_an_ignored_change_stays_as_it_is_in_the_cluster(project: Project) -> None:
    labels = {"word": "asked", "ignored": "asked"}

    def program(options: pulumi.ResourceOptions) -> None:
        ignoring = pulumi.ResourceOptions(ignore_changes=["metadata.labels.ignored"])
        k8s.core.v1.ServiceAccount(
            "partly",
            metadata={"name": "partly", "namespace": "default", "labels": dict(labels)},
            opts=pulumi.ResourceOptions.merge(options, ignoring),
        )

    project.up(program)
    project.cluster.kubectl(
        "label", "--field-manager=somebody", "--overwrite", "serviceaccount", "partly", "ignored=theirs"
    )
    labels.update(word="changed", ignored="changed")
    assert project.up(program)["update"] == 1
    live = project.live("serviceaccount", "partly")["metadata"]["labels"]
    assert live == {"word": "changed", "ignored": "theirs"}
    project.destroy()


def test_a_service_waits_for_its_endpoints_only(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        spec = {"selector": {"app": "no-such"}, "ports": [{"port": 80}]}
        k8s.core.v1.Service("alone", metadata={"name": "alone", "namespace": "default"}, spec=spec, opts=options)

    project.up(program)
    assert project.up(program) == {"same": 3}
    project.destroy()


def test_an_unreachable_cluster_fails_with_where_and_what_to_do(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("far", config_map("far", word="one"), opts=options)

    project.kubeconfig = project.kubeconfig.replace(project.cluster.url, "https://127.0.0.1:1")
    assert project.preview(program)["create"] == 3
    said = project.fails(program)
    assert "configured Kubernetes cluster is unreachable" in said
    assert "https://127.0.0.1:1" in said
    assert "kubeconfig" in said


def test_an_unreachable_cluster_is_skipped_or_forgotten_only_on_demand(project: Project) -> None:
    word = "one"

    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("lost", config_map("lost", word=word), opts=options)

    project.up(program)
    reachable = project.kubeconfig
    project.kubeconfig = project.kubeconfig.replace(project.cluster.url, "https://127.0.0.1:1")
    project.settings["skip_update_unreachable"] = True
    word = "two"
    assert project.up(program) == {"same": 2, "update": 1}  # the provider only
    assert "skipped" in project.output
    project.settings = {"delete_unreachable": True}
    project.up(nothing)
    assert not project.knows("lost")
    assert project.live("configmap", "lost")["data"] == {"word": "one"}
    project.kubeconfig = reachable
    project.cluster.kubectl("delete", "configmap", "lost")
    project.destroy()


def test_a_wrong_kubeconfig_fails_with_its_path(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMap("nowhere", config_map("nowhere", word="one"), opts=options)

    project.kubeconfig = "/no/such/kubeconfig"
    assert "there is no kubeconfig at /no/such/kubeconfig" in project.fails(program)


def test_what_the_stand_in_does_not_know_is_said(project: Project) -> None:
    def program(options: pulumi.ResourceOptions) -> None:
        k8s.core.v1.ConfigMapPatch("patch", metadata={"name": "patched"}, data={"a": "b"}, opts=options)

    said = project.fails(program)
    assert "does not know the resource type kubernetes:core/v1:ConfigMapPatch" in said
    project.settings["render_yaml_to_directory"] = "out"
    assert "does not know the provider setting renderYamlToDirectory" in project.fails(nothing)
