"""Provider settings and kubeconfigs: what is taken, and how a wrong one is named."""

import base64
from pathlib import Path

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2 as pb

from local.standins.host import Host, StandInError
from local.standins.kubernetes.config import Settings, load_kubeconfig
from local.standins.kubernetes.provider import KubernetesPlugin
from local.standins.properties import from_json, marshal

CA_BY_PATH = {"certificate-authority": "ca.crt"}
CA_INLINE = {"certificate-authority-data": base64.b64encode(b"PEM").decode()}


def kubeconfig(server: str = "https://one.invalid:6443", ca: dict[str, str] = CA_INLINE) -> str:
    return yaml.safe_dump(
        {
            "current-context": "one",
            "clusters": [
                {"name": "one", "cluster": {"server": server, **ca}},
                {"name": "two", "cluster": {"server": "https://two.invalid"}},
            ],
            "users": [{"name": "me", "user": {"token": "t0ken"}}],
            "contexts": [
                {"name": "one", "context": {"cluster": "one", "user": "me", "namespace": "here"}},
                {"name": "two", "context": {"cluster": "two", "user": "me"}},
            ],
        }
    )


def test_contents_and_path_lead_to_the_same_cluster(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("PEM")
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig(ca=CA_BY_PATH))
    for given in (str(file), kubeconfig()):
        loaded = load_kubeconfig(Settings(kubeconfig=given))
        assert (loaded.server, loaded.namespace) == ("https://one.invalid:6443", "here")
        assert (loaded.ca, loaded.token) == ("PEM", "t0ken")


def test_context_cluster_and_namespace_of_the_provider_win() -> None:
    text = kubeconfig()
    assert load_kubeconfig(Settings(kubeconfig=text, context="two")).server == "https://two.invalid"
    assert load_kubeconfig(Settings(kubeconfig=text, cluster="two", namespace="there")).namespace == "there"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(kubeconfig="/no/such/file"), "there is no kubeconfig at /no/such/file"),
        (Settings(kubeconfig="a: [1,\nb"), "is no YAML at line"),
        (Settings(kubeconfig="just\ntext"), "is no YAML mapping"),
        (Settings(kubeconfig=kubeconfig(), context="three"), "no context 'three'; it has: one, two"),
        (Settings(kubeconfig=yaml.safe_dump({"a": 1, "b": 2})), "has no current-context"),
    ],
)
def test_a_wrong_kubeconfig_is_named(settings: Settings, said: str) -> None:
    with pytest.raises(StandInError, match=said.replace("[", r"\[")):
        load_kubeconfig(settings)


def test_a_broken_kubeconfig_is_never_quoted() -> None:
    with pytest.raises(StandInError) as caught:
        load_kubeconfig(Settings(kubeconfig="token: hidden-word\n\t: x"))
    assert "hidden-word" not in str(caught.value)


def plugin() -> KubernetesPlugin:
    return KubernetesPlugin(Host())


def check(**settings: str) -> list[str]:
    news = marshal({key: from_json(value) for key, value in settings.items()})
    return [failure.reason for failure in plugin().check_config(pb.CheckRequest(news=news)).failures]


def test_official_settings_are_taken_and_others_refused() -> None:
    assert check(kubeconfig="x", clusterIdentifier="a", enableServerSideApply="true", namespace="n") == []
    assert "no setting 'kubeConfig'" in check(kubeConfig="x")[0]
    assert "does not know the provider setting renderYamlToDirectory" in check(renderYamlToDirectory="x")[0]
    assert "does not know client-side apply" in check(enableServerSideApply="false")[0]


def replaces(old: dict[str, str], new: dict[str, str]) -> list[str]:
    olds, news = (marshal({key: from_json(value) for key, value in each.items()}) for each in (old, new))
    return list(plugin().diff_config(pb.DiffRequest(olds=olds, news=news)).replaces)


def test_another_cluster_replaces_the_provider_unless_its_identifier_stays() -> None:
    one, two = (kubeconfig(server) for server in ("https://one.invalid", "https://other.invalid"))
    assert replaces({"kubeconfig": one}, {"kubeconfig": two}) == ["kubeconfig"]
    assert replaces({"kubeconfig": one}, {"kubeconfig": one.replace("t0ken", "new")}) == []
    same = {"clusterIdentifier": "a"}
    assert replaces({"kubeconfig": one, **same}, {"kubeconfig": two, **same}) == []
    assert replaces({"kubeconfig": one, **same}, {"kubeconfig": one, "clusterIdentifier": "b"}) == ["clusterIdentifier"]
