from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates


def certificates(text: str) -> list[str]:
    """Each certificate of a bundle as PEM, and nothing of what else stood there. Raises ValueError if there is none."""
    return [each.public_bytes(Encoding.PEM).decode() for each in load_pem_x509_certificates(text.encode())]
