"""The proxy from outside, on each mitmproxy found: curl, a library, Chromium; handshakes counted at the origin."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blockerd.proxy.environment import Environment, checkout_folder
from tests.e2e import proxying
from tests.e2e.install import ROOT, environment
from tests.e2e.proxied import LISTED, MIXED, NOTED, OPEN, PINNED, QUIET
from tests.trials.namespace import ALONE, alone

ORIGIN = "Origin of these tests"
_FOLDER = checkout_folder()
READY = _FOLDER is not None and Environment(_FOLDER).ready

pytestmark = [
    pytest.mark.needs_tool("ip", "iproute2"),
    pytest.mark.needs_tool("curl"),
    pytest.mark.needs_tool("certutil", "libnss3-tools"),
    pytest.mark.needs_kernel("user namespaces", ALONE),
    pytest.mark.skipif(not READY, reason="the proxy has no environment: make setup-proxy"),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _told(tmp_path_factory.mktemp("proxy"), "clients")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _told(tmp_path_factory.mktemp("browser"), "browser")


def _told(folder: Path, what: str) -> dict[str, Any]:
    command = alone(sys.executable, "-m", "tests.e2e.proxying", str(folder), what)
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    got: dict[str, Any] = json.loads(done.stdout)
    return got


def test_a_listed_host_gets_403_and_the_origin_hears_nothing(told: dict[str, Any]):
    plain = told["plain"]
    assert plain["listed"]["connect"] == 403
    assert plain["library"]["listed"] == "Tunnel connection failed: 403 Forbidden"
    assert plain["library"]["httpx2"][3] == "403 Forbidden"
    assert plain["connections for listed"] == 0
    assert LISTED not in plain["handshakes"]


@pytest.mark.parametrize("how", ["listed http", "listed by host header", "listed post", "listed websocket"])
def test_over_plain_http_the_page_says_what_and_where_to_find_help(told: dict[str, Any], how: str):
    got = told["plain"][how]
    assert got["code"] == 403
    assert "A page was not opened." in got["page"]
    assert got["page"].index("112") < got["page"].index("<h1>")


def test_other_hosts_pass_untouched_with_the_origins_own_certificate(told: dict[str, Any]):
    plain = told["plain"]
    assert plain["issuer"] == ORIGIN
    assert (plain["open"]["code"], plain["open"]["version"]) == (200, "2"), "HTTP/2 end to end"
    assert [plain[how]["code"] for how in ("open http", "post")] == [200, 200]
    assert plain["library"]["open"] == 200
    assert plain["library"]["httpx2"][0] == ["HTTP/2", 200]


def test_a_host_with_rules_is_decrypted_its_page_withheld_and_others_shown(told: dict[str, Any]):
    opened = told["opened"]
    assert [opened[page]["code"] for page in ("board", "encoded", "below")] == [403, 403, 403]
    assert "A page was not opened." in opened["board"]["page"]
    assert [(opened[page]["code"], opened[page]["version"]) for page in ("other", "h1")] == [(200, "2"), (200, "1.1")]
    assert told["plain"]["library"]["httpx2"][1:3] == [["HTTP/2", 200], ["HTTP/2", 403]]
    assert opened["issuer"] == "blockerd"
    assert opened["origin saw"] == []


def test_frames_of_a_websocket_come_back_and_are_not_kept(told: dict[str, Any]):
    got = told["opened"]["websocket"]
    assert got["back"] == proxying.FRAMES
    assert got["grown"] < proxying.FRAMES * proxying.FRAME / 2**20


def test_a_pinned_client_passes_from_its_second_try_on_and_is_listed(told: dict[str, Any]):
    assert (told["opened"]["pinned first"], told["opened"]["pinned then"]) == ("not trusted", ORIGIN)
    assert told["opened"]["quiet then"] == ORIGIN, "one that hangs up without a word, four times in a row"
    assert list(told["root"]["passed"]) == [PINNED, QUIET]


def test_handshakes_that_name_another_host_are_judged_by_both(told: dict[str, Any]):
    shaped = told["shaped"]
    assert [shaped[how] for how in ("other sni", "address, listed sni", "ruled host, other sni")] == ["closed"] * 3
    assert shaped["address, open sni"] == ORIGIN
    assert shaped["handshakes"] == 0


@pytest.mark.parametrize("first", [1, 2, 4, 50])
def test_a_handshake_in_pieces_is_judged_whole(told: dict[str, Any], first: int):
    assert told["shaped"][f"first {first} octets, {LISTED}"] == "closed"
    assert told["shaped"][f"first {first} octets, {OPEN}"] == "answered"


def test_plain_http_in_pieces_inside_a_tunnel_is_judged(told: dict[str, Any]):
    assert told["shaped"]["plain in a tunnel, in pieces"] == ["HTTP/1.1 403 Forbidden"] * 3


@pytest.mark.parametrize("protocol", ["ssh", "amqp"])
def test_what_is_neither_tls_nor_http_passes(told: dict[str, Any], protocol: str):
    """With or without a line end: the first octets of AMQP are all that comes until the other side answers."""
    assert told["shaped"][protocol] is True


@pytest.mark.parametrize("host", proxying.NEAR)
def test_this_machine_and_the_home_are_not_reached(told: dict[str, Any], host: str):
    assert told["near"][host] in (403, 502)
    assert told["near"][f"CONNECT {host}"] == 403 or told["near"][f"exit {host}"] != 0


def test_our_own_ports_are_not_reached_by_another_address_of_this_machine_either(told: dict[str, Any]):
    assert told["near"]["own port"] == 502


def test_an_open_connection_ends_when_its_block_begins_and_others_go_on(told: dict[str, Any]):
    assert told["cut"]["ended"] is True
    assert told["cut"]["seconds"] < 2
    assert told["cut"]["other"] is True


def test_where_no_page_of_ours_can_be_shown_the_agent_has_a_notice(told: dict[str, Any]):
    assert told["notice"] == NOTED


def test_check_says_what_the_clients_got(told: dict[str, Any]):
    assert list(told["checked"].values()) == [True, True, False, False]


def test_downloads_arrive_whole(told: dict[str, Any]):
    assert told["downloads"] == {"passed": 32 << 20, "decrypted": 32 << 20}


@pytest.mark.once
@pytest.mark.needs_tool("chromium")
def test_chromium_shows_pages_the_block_page_and_nothing_of_a_listed_host(seen: dict[str, Any]):
    assert all("<p>/page</p>" in seen[page] for page in ("open", "other"))
    assert all("A page was not opened." in seen[page] for page in ("board", "listed http"))
    assert "origin" not in seen["listed"]


@pytest.mark.once
@pytest.mark.needs_tool("chromium")
@pytest.mark.needs_tool("firefox-esr")
def test_firefox_takes_the_root_from_its_profile_and_the_board_is_not_asked_for(seen: dict[str, Any]):
    shown = seen["firefox"]
    assert (shown["open"], shown["other"]) == ([f"{OPEN}/page"], [f"{MIXED}/page"])
    assert shown["board"] == []
    assert seen["passed"] == 0, "no certificate was refused"


def test_it_comes_again_after_its_death_and_that_of_the_process_around_it(told: dict[str, Any]):
    assert told["killed"] == {"pages": [200, 200], "children": 5}


def test_the_daemon_ends_with_all_of_its_processes(told: dict[str, Any]):
    assert (told["ended"]["code"], told["ended"]["left"]) == (0, 0)
    assert told["ended"]["seconds"] < 2.5


def test_status_shows_it(told: dict[str, Any]):
    status = told["status"]
    assert status["pids"]["proxy"] > 0
    assert status["proxy"]["counters"]["passed"] > 0
    assert status["notes"] == []


def test_attempts_are_recorded_with_their_channel_and_without_paths(told: dict[str, Any]):
    recorded = [one for one in told["recorded"] if one[2] == "proxy"]
    assert [[LISTED], "cam", "proxy"] in recorded
    assert [[MIXED, f"www.{MIXED}"], "mixed", "proxy"] in recorded
    assert told["spool"] is False


def test_the_key_is_secret_and_the_root_is_short_lived(told: dict[str, Any]):
    assert told["mode of key"] == "0o600"
    assert 0 < told["root"]["days"] <= 365


@pytest.mark.parametrize("fault", ["rules", "hooks"])
def test_a_fault_opens_no_listed_host_and_stops_no_other(told: dict[str, Any], fault: str):
    got = told["faults"][fault]
    assert [got[how] for how in ("listed", "listed http", "address, listed sni")] == [403, 403, "closed"]
    assert (got["open"], got["open http"]) == (ORIGIN, 200)


def test_where_no_name_is_asked_for_the_handshake_decides(told: dict[str, Any]):
    assert told["faults"]["socks"] == {LISTED: "closed", OPEN: "TLSv1.3"}


def test_without_a_policy_the_setting_decides(told: dict[str, Any]):
    assert told["without policy"]["block"] == [503, 503]
    assert told["without policy"]["pass"][0] == 200
