"""Certificates made for a test."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write_certificate(certificate: Path, key: Path, name: str = "gateway.test", *, pass_phrase: bytes = b"") -> None:
    """Signed by itself, for `name`, for an hour."""
    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    hidden: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(pass_phrase) if pass_phrase else serialization.NoEncryption()
    )
    # a whole file takes the place of the old one, as certificate tools do it
    for path, data in (
        (key, secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)),
        (certificate, made.public_bytes(serialization.Encoding.PEM)),
    ):
        fresh = path.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.replace(path)
