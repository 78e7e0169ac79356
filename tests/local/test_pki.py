import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from local import pki

ADDRESS = "172.30.1.2"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "pki"


def certificate(directory: Path, stem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{stem}.crt").read_bytes())


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_every_certificate_is_signed_by_the_clusters_own_authority(directory: Path) -> None:
    pki.ensure(directory, "eu-1", ADDRESS)
    for stem in pki.identities("eu-1", ADDRESS):
        certificate(directory, stem).verify_directly_issued_by(certificate(directory, "ca"))


def test_kubelet_is_the_node_that_the_node_authorizer_knows(directory: Path) -> None:
    pki.ensure(directory, "eu-1", ADDRESS)
    subject = certificate(directory, "kubelet").subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:eu-1"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_api_server_is_trusted_at_every_address_that_it_is_called_by(directory: Path) -> None:
    pki.ensure(directory, "eu-1", ADDRESS)
    extension = certificate(directory, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    addresses = {str(address) for address in extension.value.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", ADDRESS, "10.96.0.1"}


def test_no_other_user_of_the_machine_can_read_a_file(directory: Path) -> None:
    pki.ensure(directory, "eu-1", ADDRESS)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_what_is_current_stays_as_it_is(directory: Path) -> None:
    pki.ensure(directory, "eu-1", ADDRESS)
    before = contents(directory)
    pki.ensure(directory, "eu-1", ADDRESS)
    assert contents(directory) == before


def test_a_new_address_gets_new_certificates(directory: Path) -> None:
    pki.ensure(directory, "eu-1", ADDRESS)
    before = contents(directory)
    pki.ensure(directory, "eu-1", "172.30.2.2")
    assert not before.items() & contents(directory).items()


def test_certificates_are_renewed_before_they_expire(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pki, "VALID_FOR", pki.RENEW_BEFORE - dt.timedelta(minutes=1))
    pki.ensure(directory, "eu-1", ADDRESS)
    assert not pki.is_current(directory, ADDRESS)
    monkeypatch.undo()
    pki.ensure(directory, "eu-1", ADDRESS)
    assert pki.is_current(directory, ADDRESS)


def test_a_kill_half_way_leaves_nothing_that_is_taken_for_whole(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", kill)
    with pytest.raises(KeyboardInterrupt):
        pki.ensure(directory, "eu-1", ADDRESS)
    assert not pki.is_current(directory, ADDRESS)
    monkeypatch.undo()
    pki.ensure(directory, "eu-1", ADDRESS)
    assert pki.is_current(directory, ADDRESS)
