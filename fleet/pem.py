from collections.abc import Iterable

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, Name, load_pem_x509_certificates
from cryptography.x509.oid import NameOID

from fleet.names import authority_number


def certificates(text: str) -> list[str]:
    """Each certificate of a bundle as PEM, and nothing of what else stood there. Raises ValueError if there is none."""
    return [each.public_bytes(Encoding.PEM).decode() for each in load(text)]


def common_name(name: Name) -> str:
    """The first one; empty where there is none."""
    return next((str(each.value) for each in name.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def authorities_in(bundle: str) -> tuple[int, ...]:
    """Numbers of the fleet's authorities whose own certificates stand in a bundle, in ascending order."""
    return _numbers(each.subject for each in load(bundle))


def signers_of(chain: str) -> tuple[int, ...]:
    """Numbers of the fleet's authorities that signed something in a chain, in ascending order."""
    return _numbers(each.issuer for each in load(chain))


def load(text: str) -> list[Certificate]:
    # Of what an update with `--target` leaves out there is no certificate either.
    return load_pem_x509_certificates(text.encode()) if text else []


def _numbers(names: Iterable[Name]) -> tuple[int, ...]:
    found = {authority_number(common_name(name)) for name in names}
    return tuple(sorted(number for number in found if number is not None))
