"""Self-signed certificates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def import_certificate(acm: Any, names: Iterable[str]) -> str:
    """Import a certificate for these host names, which ACM lists as issued; return its ARN."""
    every = list(names)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in every])
    certificate, key = _self_signed(every[0], alternatives)
    return str(acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"])


def make_server_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key; return the files of certificate and key."""
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    files = folder / "certificate.pem", folder / "key.pem"
    for file, content in zip(files, _self_signed("test", names), strict=True):
        file.write_bytes(content)
    return files


def _self_signed(common_name: str, names: x509.SubjectAlternativeName) -> tuple[bytes, bytes]:
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
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(pem), private
