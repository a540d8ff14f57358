"""Self-signed certificates."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_ca_certificate() -> str:
    """Return the base64 of a CA certificate, as DescribeCluster returns it."""
    is_ca = x509.BasicConstraints(ca=True, path_length=None)
    certificate, _ = _self_signed("test-ca", is_ca, critical=True)
    return base64.b64encode(certificate).decode()


def import_certificate(acm: Any, names: Iterable[str]) -> str:
    """Import a certificate for these host names, which ACM lists as issued; return its ARN."""
    every = list(names)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in every])
    certificate, key = _self_signed(every[0], alternatives, critical=False)
    return str(acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"])


def _self_signed(
    common_name: str, extension: x509.ExtensionType, *, critical: bool
) -> tuple[bytes, bytes]:
    """Return a certificate that is valid today, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    today = datetime.now(UTC) - timedelta(minutes=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today)
        .not_valid_after(today + timedelta(days=1))
        .add_extension(extension, critical=critical)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(pem), private
