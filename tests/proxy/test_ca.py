"""The root is narrow, short-lived and secret; leafs hold for their host alone; a real handshake agrees."""

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from blockerd import clock
from blockerd.proxy import ca, manifest
from blockerd.proxy.manifest import CERT_FILE, KEY_FILE, Manifest, Unreadable

NOW = 1_800_000_000.0


def _root(*hosts: str) -> ca.Root:
    return ca.make_root(hosts, NOW)


def test_the_root_lives_at_most_a_year_and_stands_alone():
    certificate = _root("mixed.test").certificate
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=365)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)


def test_the_root_names_what_it_may_sign_and_no_address():
    found = _root("mixed.test").certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    assert [one.value for one in found.value.permitted_subtrees or ()] == ["mixed.test"]
    assert [str(one.value) for one in found.value.excluded_subtrees or ()] == ["0.0.0.0/0", "::/0"]


def test_without_hosts_the_root_may_sign_for_nothing():
    found = _root().certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert [one.value for one in found.value.permitted_subtrees or ()] == ["nothing.invalid"]


def test_a_leaf_is_short_for_one_host_and_never_outlives_the_root():
    root = _root("mixed.test")
    leaf = ca.make_leaf(root, "www.mixed.test", NOW)
    assert leaf.certificate.not_valid_after_utc - leaf.certificate.not_valid_before_utc <= timedelta(days=197)
    names = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["www.mixed.test"]
    late = ca.make_leaf(root, "mixed.test", NOW + 360 * 86400)
    assert late.certificate.not_valid_after_utc == root.certificate.not_valid_after_utc
    assert NOW < leaf.renew_at < leaf.certificate.not_valid_after_utc.timestamp()


def _handshake(tmp_path: Path, root: ca.Root, host: str) -> str:
    """What a client that trusts `root` says of a leaf for `host`: "" when it is content."""
    leaf = ca.make_leaf(root, host, clock.now())
    pem, bundle = tmp_path / "leaf.pem", tmp_path / "root.pem"
    key = leaf.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(key + leaf.certificate.public_bytes(serialization.Encoding.PEM))
    bundle.write_bytes(root.certificate.public_bytes(serialization.Encoding.PEM))
    serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=str(bundle))
    serving.load_cert_chain(pem)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            serving.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        asking.wrap_socket(ours, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        ours.close()
        thread.join(5)
    return ""


@pytest.mark.parametrize(("host", "content"), [("mixed.test", True), ("a.mixed.test", True), ("bank.test", False)])
def test_clients_take_leafs_within_the_constraints_and_no_others(tmp_path: Path, host: str, content: bool):
    said = _handshake(tmp_path, ca.make_root(("mixed.test",), clock.now()), host)
    assert (said == "") is content
    assert content or "permitted subtree" in said


def test_key_and_root_are_written_narrowly_from_the_first_moment(tmp_path: Path):
    held = ca.ensure(tmp_path, ["b.test", "a.test"], NOW)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / manifest.FILE).stat().st_mode & 0o777 == 0o600
    assert held.hosts == ("a.test", "b.test")
    assert not held.trusted
    assert ca.fingerprint(ca.load(tmp_path).certificate) == held.fingerprint


def test_a_root_is_kept_until_it_is_rotated(tmp_path: Path):
    first = ca.ensure(tmp_path, ["a.test"], NOW)
    assert ca.ensure(tmp_path, ["b.test"], NOW) == first
    second = ca.rotate(tmp_path, ["b.test"], NOW)
    assert second.fingerprint != first.fingerprint
    assert b"PRIVATE KEY" not in (tmp_path / CERT_FILE).read_bytes()


def test_erase_takes_key_and_root_but_not_the_memory_of_stores(tmp_path: Path):
    held = ca.ensure(tmp_path, ["a.test"], NOW)
    entry = manifest.Entry("nss", "/gone", "n", held.fingerprint)
    manifest.write(tmp_path, held.with_store(entry))
    ca.erase(tmp_path)
    assert not (tmp_path / KEY_FILE).exists()
    assert manifest.read(tmp_path) == Manifest(stores=(entry,))


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"stores": [{"x": 1}]}', b'{"stores": 7}'])
def test_a_damaged_manifest_is_told_and_never_written_over(tmp_path: Path, data: bytes):
    (tmp_path / manifest.FILE).write_bytes(data)
    with pytest.raises(Unreadable, match="damaged"):
        ca.ensure(tmp_path, ["a.test"], NOW)
    assert (tmp_path / manifest.FILE).read_bytes() == data
