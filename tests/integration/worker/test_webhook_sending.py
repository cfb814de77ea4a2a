"""A message to a webhook on the wire: the address that was checked, TLS for its name, and an end in time."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import repeat
from pathlib import Path

import pytest
from tests.acceptance.system import eventually
from tests.builders import NOW
from tests.receiver import SECRET
from tests.tls import Certificates, certificates, tls_before

from carecase_worker.settings.sections.webhooks import DeliverySettings
from carecase_worker.worker.webhooks.messages import test_message as a_test_message
from carecase_worker.worker.webhooks.sending import Reply, Sending, resolve_by_system

MESSAGE = a_test_message("x", (SECRET,), NOW)
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[tuple[int, list[bytes]]]:
    """Take connections, and read and keep the head of each request before it is answered; the port, and the heads."""
    heads: list[bytes] = []

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    read = b""
                    while b"\r\n\r\n" not in read and (piece := connection.recv(65536)):
                        read += piece
                    heads.append(read.partition(b"\r\n\r\n")[0])
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1], heads


def sending(timeout_s: float = 60, trusted: Path | None = None) -> Sending:
    """A sender for which every name leads to this machine."""
    settings = DeliverySettings.model_validate({"private_networks": ["127.0.0.0/8"], "timeout_seconds": timeout_s})
    return Sending(settings, lambda *_: ["127.0.0.1"], ssl.create_default_context(cafile=trusted))


def test_a_message_goes_to_the_address_that_was_checked_and_names_the_host_of_the_url() -> None:
    with answering(lambda connection: connection.sendall(NO_CONTENT)) as (port, heads):
        reply = sending().send(f"http://hooks.carecase.invalid:{port}/in/box?team=a%20b", MESSAGE, NOW)
        assert reply == Reply(204), "a second look-up of this name, which is nobody's, would fail"
        assert sending().send(f"http://hooks.carecase.invalid:{port}", MESSAGE, NOW) == Reply(204)
        assert sending().send(f"http://[2001:db8::abcd]:{port}/", MESSAGE, NOW) == Reply(204)
    first, *lines = heads[0].decode().split("\r\n")
    assert first == "POST /in/box?team=a%20b HTTP/1.1"
    assert f"host: hooks.carecase.invalid:{port}" in map(str.lower, lines)
    assert heads[1].startswith(b"POST / HTTP/1.1\r\n")
    assert f"host: [2001:db8::abcd]:{port}" in heads[2].decode().lower()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls") / "made")


def test_with_tls_the_certificate_must_be_trusted_and_be_for_the_host_of_the_url(files: Certificates) -> None:
    with (
        answering(lambda connection: connection.sendall(NO_CONTENT)) as (plain, heads),
        tls_before(plain, files) as port,
    ):
        untrusted = Reply(reason="certificate not trusted")
        assert sending().send(f"https://127.0.0.1:{port}/", MESSAGE, NOW) == untrusted
        assert sending(trusted=files.ca).send(f"https://hooks.carecase.invalid:{port}/", MESSAGE, NOW) == untrusted
        assert heads == [], "nothing is sent before that is known"
        assert sending(trusted=files.ca).send(f"https://127.0.0.1:{port}/", MESSAGE, NOW) == Reply(204)


def test_of_a_receiver_without_tls_nobody_is_told_that_its_certificate_is_bad() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=speak, daemon=True).start()
        reply = sending().send(f"https://127.0.0.1:{server.getsockname()[1]}/", MESSAGE, NOW)
    assert reply == Reply(reason="connection failed")


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 90])
def test_of_an_answer_without_end_so_many_bytes_are_read(piece: bytes) -> None:
    """With a minute of time: it is the bytes that end it."""

    def go_on(connection: socket.socket) -> None:
        connection.sendall(piece)
        for _ in repeat(None):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100 if b"100" in piece else b"x: y\r\n" * 1000)

    with answering(go_on) as (port, _):
        assert sending().send(f"http://hooks.carecase.invalid:{port}/", MESSAGE, NOW) == Reply(
            reason="connection failed"
        )


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_a_name_that_nobody_has_is_told(error: Exception) -> None:
    def resolve(*_: object) -> list[str]:
        raise error

    settings = DeliverySettings.model_validate({})
    reply = Sending(settings, resolve, ssl.create_default_context()).send("https://h.invalid/", MESSAGE, NOW)
    assert reply == Reply(reason="name not resolved")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_the_system_finds_addresses_of_both_protocols(address: str) -> None:
    assert resolve_by_system(address, 443) == [address]


def test_an_attempt_whose_time_went_into_the_name_connects_to_nobody() -> None:
    def resolve(*_: object) -> list[str]:
        time.sleep(0.02)  # a look-up that takes longer than an attempt may
        return ["127.0.0.1"]

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        settings = DeliverySettings.model_validate({"private_networks": ["127.0.0.0/8"], "timeout_seconds": 0.01})
        reply = Sending(settings, resolve, ssl.create_default_context()).send(f"http://h:{port}/", MESSAGE, NOW)
        assert reply == Reply(reason="timeout")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_without_tls_nothing_is_sent_to_a_public_address() -> None:
    """Ids of jobs would go through the internet for everyone to read."""
    settings = DeliverySettings.model_validate({"private_networks": ["127.0.0.0/8"], "timeout_seconds": 0.01})
    public = Sending(settings, lambda *_: ["93.184.216.34"], ssl.create_default_context())
    assert public.send("http://hooks.carecase.example/", MESSAGE, NOW) == Reply(reason="address not permitted")


def test_a_receiver_that_takes_no_connection_is_given_up_in_time() -> None:
    """The system alone would go on asking it for two minutes."""
    given_up, went_on = threading.Event(), threading.Event()

    def watch() -> None:
        if not given_up.wait(30):
            went_on.set()

    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        place = server.getsockname()
        for _ in range(4):  # more than it has room for; those beyond wait in vain
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(place)
        watching = threading.Thread(target=watch)
        watching.start()
        reply = sending(timeout_s=1).send(f"http://127.0.0.1:{place[1]}/", MESSAGE, NOW)
        given_up.set()
        watching.join()
    assert reply == Reply(reason="timeout")
    assert not went_on.is_set()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_trickles_in_is_given_up_in_time(files: Certificates, scheme: str) -> None:
    """Each byte comes long before a timeout of the socket, and the last one long after that of the attempt."""
    ended = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1")
        for byte in repeat(b" ", 200):
            if ended.wait(0.05):
                return
            connection.sendall(byte)
        connection.sendall(b"204 No Content\r\n\r\n")

    with answering(trickle) as (plain, _), tls_before(plain, files) as encrypted:
        port = encrypted if scheme == "https" else plain
        reply = sending(timeout_s=1, trusted=files.ca).send(f"{scheme}://127.0.0.1:{port}/", MESSAGE, NOW)
        ended.set()
    assert reply == Reply(reason="timeout")


def test_a_process_that_ends_does_not_wait_for_an_attempt() -> None:
    """Python waits at its end for every thread that is no daemon."""
    before, awaited = set(threading.enumerate()), set[threading.Thread]()

    def answer(connection: socket.socket) -> None:
        awaited.update(thread for thread in set(threading.enumerate()) - before if not thread.daemon)
        connection.sendall(NO_CONTENT)

    with answering(answer) as (port, _):
        assert sending().send(f"http://127.0.0.1:{port}/", MESSAGE, NOW) == Reply(204)
    assert awaited == set()


def test_an_attempt_that_is_over_leaves_no_timer_behind() -> None:
    """One would keep its thread and its socket for the rest of a minute."""
    with answering(lambda connection: connection.sendall(NO_CONTENT)) as (port, _):
        before = threading.active_count()
        for _ in range(3):
            assert sending().send(f"http://127.0.0.1:{port}/", MESSAGE, NOW) == Reply(204)
        eventually(lambda: threading.active_count() <= before, 20, "their threads have ended")


@pytest.mark.parametrize(
    ("url", "port"), [("https://h", 443), ("http://h", 80), ("https://h:80", 80), ("http://h:443/x", 443)]
)
def test_without_a_port_in_the_url_it_is_that_of_the_scheme(url: str, port: int) -> None:
    asked: list[tuple[str, int]] = []

    def resolve(host: str, at: int) -> list[str]:
        asked.append((host, at))
        return []

    settings = DeliverySettings.model_validate({})
    Sending(settings, resolve, ssl.create_default_context()).send(url, MESSAGE, NOW)
    assert asked == [("h", port)]
