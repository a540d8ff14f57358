"""Certificates of simulated Services, issued by a certificate authority per cluster."""

from __future__ import annotations

import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jarkkit.sandbox.private_files import write_private

_YEARS_TEN = timedelta(days=3650)


class CertificateAuthority:
    """A certificate authority. It is saved, because webhook configurations contain its certificate.

    Args:
        folder: belongs to the user alone.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "webhook-authority.pem"
        if not path.is_file():
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(path, _key_pem(key) + _pem(_certificate("sandbox", key, key, None)))
        self._key, self._certificate = _read(path.read_bytes())
        self.pem = _pem(self._certificate).strip()

    def tls_context(self, host: str) -> ssl.SSLContext:
        """Return a TLS context for a server of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        return tls_context(
            _pem(_certificate(host, key, self._key, self._certificate)) + self.pem, _key_pem(key)
        )


def tls_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Return a server's TLS context. Raises ssl.SSLError when key and certificate do not match."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    handle, name = tempfile.mkstemp()  # ssl reads only files; mkstemp's mode is 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key + b"\n" + certificate)
        made.load_cert_chain(name)
    finally:
        Path(name).unlink()
    return made


def is_issued_by(certificate: bytes, bundle: bytes, host: str) -> bool:
    """Return True when a client that trusts the bundle accepts the certificate for that host."""
    try:
        shown = x509.load_pem_x509_certificate(certificate)
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = x509.load_pem_x509_certificates(bundle)
    except (ValueError, x509.ExtensionNotFound):
        return False
    return host in names.get_values_for_type(x509.DNSName) and any(
        shown == authority or _issued(shown, authority) for authority in known
    )


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    """Return a server's certificate, or without an issuer that of an authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"jarkkit {name}"[:64])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _YEARS_TEN)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _read(pem: bytes) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = cast(ec.EllipticCurvePrivateKey, serialization.load_pem_private_key(pem, None))
    return key, x509.load_pem_x509_certificate(pem)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
