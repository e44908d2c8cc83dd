"""`status` and `healthcheck` believe answers, not files: another resolver on the port protects nobody."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blockerd.cli.main import main
from blockerd.cli.status import blocks
from blockerd.settings import Endpoint


@contextmanager
def resolver(answer: Callable[[bytes], bytes]) -> Iterator[Endpoint]:
    """A resolver that answers one question by `answer`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            packet, client = sock.recvfrom(512)
            sock.sendto(answer(packet), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint("127.0.0.1", sock.getsockname()[1])
        thread.join(5)


EDE_17 = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x06\x00\x0f\x00\x02\x00\x11"


def _reply(rcode: int, extra: bytes = b"") -> Callable[[bytes], bytes]:
    def answer(packet: bytes) -> bytes:
        question = packet[12:-11]
        return packet[:2] + bytes((0x81, 0x80 | rcode)) + b"\0\1\0\0\0\0" + bytes((0, bool(extra))) + question + extra

    return answer


def test_our_answer_is_known_by_its_extended_error():
    with resolver(_reply(3, EDE_17)) as endpoint:
        assert blocks(endpoint)


@pytest.mark.parametrize("rcode", [0, 2, 3, 5])
def test_the_answer_of_another_resolver_is_no_block(rcode: int):
    """The test name does not exist for anybody, so NXDOMAIN alone says nothing."""
    with resolver(_reply(rcode)) as endpoint:
        assert not blocks(endpoint)


def test_an_answer_with_another_id_or_of_a_few_octets_is_no_block():
    with resolver(lambda packet: b"\0\0" + _reply(3, EDE_17)(packet)[2:]) as endpoint:
        assert not blocks(endpoint)
    with resolver(lambda packet: packet[:2]) as endpoint:
        assert not blocks(endpoint)


def test_nobody_there_is_exit_1_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: int):
    file = tmp_path / "b.toml"
    file.write_text(f'[dns]\nlisten = ["127.0.0.1:{free_port}"]\n')
    assert main(["status", "--config", str(file)]) == 1
    assert "Not protecting" in capsys.readouterr().out
    assert main(["healthcheck", "--config", str(file)]) == 1
    capsys.readouterr()
    assert main(["status", "--json", "--config", str(file)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["protecting"], told["pids"]) == (False, {"dns": 0, "control": 0})
    assert main(["healthcheck", "--json", "--config", str(file)]) == 1
    assert json.loads(capsys.readouterr().out) == {"healthy": False, "addresses": {f"127.0.0.1:{free_port}": False}}


def test_status_makes_no_folder_where_nothing_was_started(tmp_path: Path, free_port: int):
    file = tmp_path / "b.toml"
    file.write_text(f'[dns]\nlisten = ["127.0.0.1:{free_port}"]\n')
    main(["status", "--config", str(file)])
    assert not (tmp_path / "var").exists()
