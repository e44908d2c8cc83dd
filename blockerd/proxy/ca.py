"""The machine's own certificate authority: a name-constrained root, and leafs for the hosts that have page rules.

The root lives 365 days, may sign for nothing but its list of names (RFC 5280 section 4.2.1.10) and no address, has no
authority below it, and its key (P-256) never leaves the CA folder. Leafs live in memory, with a key of their own.
Called by the commands, by the process that starts the proxy, and by the addon.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from blockerd import clock
from blockerd.proxy import manifest
from blockerd.proxy.manifest import CERT_FILE, KEY_FILE, Manifest

ROOT_DAYS = 365
LEAF_DAYS = 90
"""Browsers take at most 200 days (CA/Browser Forum ballot SC-081); a running proxy makes new ones in time."""
_BACK = timedelta(days=1)  # clocks of clients may be behind
_EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class Root:
    """A root with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf with its key; `renew_at` (Unix seconds) is when another is to be made."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    renew_at: float


def make_root(hosts: Iterable[str], now: float) -> Root:
    """A new root that may sign for `hosts` (A-label texts) and all below them, from `now` (Unix seconds) on."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = clock.utc(now)
    name = x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, f"blockerd on this computer, {made:%Y-%m-%d}"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "blockerd"),
    ])  # fmt: skip
    permitted = [x509.DNSName(host) for host in hosts] or [x509.DNSName("nothing.invalid")]
    excluded = [x509.IPAddress(ip_network(net)) for net in _EVERY_ADDRESS]
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(made - _BACK)
        .not_valid_after(made - _BACK + timedelta(days=ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, excluded), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Root(key, certificate)


def make_leaf(root: Root, host: str, now: float) -> Leaf:
    """A leaf for `host` (A-label text) alone, from `now` (Unix seconds) on; it never outlives the root."""
    key = ec.generate_private_key(ec.SECP256R1())
    begins = clock.utc(now) - _BACK
    ends = min(begins + timedelta(days=LEAF_DAYS), root.certificate.not_valid_after_utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
        .sign(root.key, hashes.SHA256())
    )
    return Leaf(key, certificate, now + (ends.timestamp() - now) / 2)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the certificate, as hex."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def rotate(folder: Path, hosts: Iterable[str], now: float) -> Manifest:
    """Puts a new root into the CA `folder` in place of the old; the manifest goes on naming the stores of the old one.

    Raises:
        OSError: it cannot be written.
    """
    names = tuple(sorted(set(hosts)))
    root, old = make_root(names, now), manifest.read(folder)
    certificate = root.certificate.public_bytes(serialization.Encoding.PEM)
    key = root.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ends = root.certificate.not_valid_after_utc.timestamp()
    fresh = replace(old, fingerprint=fingerprint(root.certificate), made=now, ends=ends, hosts=names)
    manifest.write_file(folder / KEY_FILE, key + certificate)
    for name in (CERT_FILE, manifest.copy_name(fresh.fingerprint)):
        manifest.write_file(folder / name, certificate, 0o644)
    manifest.write(folder, fresh)
    return fresh


def ensure(folder: Path, hosts: Iterable[str], now: float) -> Manifest:
    """The manifest of the root in `folder`; one is made where there is none, so that nobody else makes a wider one.

    Raises:
        OSError: it cannot be written.
        manifest.Unreadable: the manifest is damaged.
    """
    held = manifest.read(folder)
    if held.fingerprint and (folder / KEY_FILE).exists():
        return held
    return rotate(folder, hosts, now)


def load(folder: Path) -> Root:
    """The root of `folder` with its key.

    Raises:
        OSError: there is none.
        ValueError: the file holds something else.
    """
    data = (folder / KEY_FILE).read_bytes()
    key = serialization.load_pem_private_key(data, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{folder / KEY_FILE}: not our key; run: blockerd proxy-ca rotate")
    return Root(key, x509.load_pem_x509_certificate(data))


def erase(folder: Path) -> None:
    """Takes key and root away; the manifest stays as long as it names stores.

    Raises:
        OSError: a file cannot be removed.
    """
    left = manifest.read(folder).stores
    kept = {manifest.copy_name(entry.fingerprint) for entry in left}
    gone = [path.name for path in folder.glob("blockerd-*.crt") if path.name not in kept]
    for name in (KEY_FILE, CERT_FILE, "mitmproxy-dhparam.pem", *gone):
        (folder / name).unlink(missing_ok=True)
    manifest.write(folder, Manifest(stores=left))
