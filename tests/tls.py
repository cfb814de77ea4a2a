"""TLS before servers that come without it: certificates made here, and a way in that speaks TLS."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
"""How a client asks PostgreSQL for TLS; protocol, "SSL Session Encryption"."""


@dataclass(frozen=True)
class Certificates:
    """A certificate for 127.0.0.1, its key, and the authority that vouches for it."""

    ca: Path
    certificate: Path
    key: Path


def certificates(place: Path, days: int = 1) -> Certificates:
    """Make an authority and a certificate of it, for some days."""
    place.mkdir()
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("the authority", ca_key, "the authority", ca_key, days)
    certificate = _certificate("the server", key, "the authority", ca_key, days)
    files = Certificates(place / "ca.pem", place / "server.pem", place / "server.key")
    files.ca.write_bytes(authority.public_bytes(Encoding.PEM))
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.key.chmod(0o600)
    return files


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, days: int
) -> x509.Certificate:
    is_ca = name == issuer
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if is_ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = made.add_extension(usage, critical=True)
    return made.sign(issuer_key, hashes.SHA256())


@contextmanager
def tls_before(
    port: int, files: Certificates, asks_first: bool = False, client_ca: Path | None = None
) -> Iterator[int]:
    """A port that speaks TLS and passes on to `port`. `asks_first`: clients ask for TLS, as those of PostgreSQL do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, port, context, asks_first), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket, port: int, context: ssl.SSLContext, asks_first: bool) -> None:
    with suppress(OSError):
        while True:
            threading.Thread(target=_serve, args=(server.accept()[0], port, context, asks_first), daemon=True).start()


def _serve(plain: socket.socket, port: int, context: ssl.SSLContext, asks_first: bool) -> None:
    with suppress(OSError):
        if asks_first:
            if plain.recv(8, socket.MSG_WAITALL) != _SSL_REQUEST:
                plain.close()
                return
            plain.sendall(b"S")
        outside = context.wrap_socket(plain, server_side=True)
        inside = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=_pass_on, args=(inside, outside), daemon=True).start()
        _pass_on(outside, inside)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
