"""The certificate authority that registries trust, so that the keys under it may change without a restart (A9.127)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from authsvc.adapters.keys.errors import KeyFolderError
from authsvc.adapters.keys.identifiers import PublicKey

# A registry whose clock is behind ours accepts a certificate that was made a moment ago.
BACKDATED = timedelta(days=1)
AUTHORITY_LIFETIME = timedelta(days=20 * 365 + 5)
LEAF_LIFETIME = timedelta(days=2 * 365)


@dataclass(frozen=True, eq=False)
class CertificateAuthority:
    """An EC P-256 key and its self-signed certificate, the one thing that a registry's `rootcertbundle` needs."""

    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def self_signed(cls, private_key: ec.EllipticCurvePrivateKey, *, now: datetime) -> Self:
        """A new authority over `private_key`, valid for 20 years, that signs leaves only (path length 0)."""
        public_key, name = private_key.public_key(), _name("authsvc CA")
        builder = (
            _builder(public_key, subject=name, issuer=name)
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )
        return cls(private_key, builder.sign(private_key, hashes.SHA256()))

    def issue(
        self, public_key: PublicKey, *, subject: str, now: datetime, lifetime: timedelta = LEAF_LIFETIME
    ) -> x509.Certificate:
        """A leaf certificate with the common name `subject` (at most 64 characters), never valid beyond the authority.

        It travels in the header of every token of the `x5c` profile, so it carries no extension that nobody checks.
        Raises `KeyFolderError` once the authority itself has expired.
        """
        not_after = min(now + lifetime, self.certificate.not_valid_after_utc)
        if not_after <= now:
            raise KeyFolderError(
                f"the certificate authority expired on {not_after:%Y-%m-%d}: move ca.key.pem and ca.cert.pem away,"
                " start again, and give every registry the new bundle"
            )
        builder = (
            _builder(public_key, subject=_name(subject), issuer=self.certificate.subject)
            .not_valid_before(max(now - BACKDATED, self.certificate.not_valid_before_utc))
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private_key.public_key()),
                critical=False,
            )
        )
        return builder.sign(self.private_key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(public_key: PublicKey, *, subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=public_key,
        serial_number=x509.random_serial_number(),
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
