"""Asking the running `control` over its socket, one JSON line each way.

Called by commands that change what `control` keeps. Refuses nothing; where nobody answers it says so in one line.
"""

import json
import socket
from typing import Any

from blockerd.cli.output import Stop
from blockerd.process import control_socket
from blockerd.settings import Settings

SECONDS = 120.0


def ask(settings: Settings, do: str, **more: object) -> dict[str, Any]:
    """What `control` answers to the request `do`.

    Raises:
        Stop: it does not run (2), or says no (1).
    """
    path = control_socket(settings)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(SECONDS)
            sock.connect(str(path))
            sock.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
            got = json.loads(sock.makefile("rb").readline())
    except (FileNotFoundError, ConnectionRefusedError):
        raise Stop(f"{path}: nobody answers there; start blockerd first (blockerd run)") from None
    except PermissionError:
        raise Stop(f"{path}: this is for the service and root; try it with sudo") from None
    except (OSError, ValueError) as error:
        raise Stop(f"{path}: no answer ({error}); look at blockerd status and try again", 1) from None
    if not isinstance(got, dict) or "error" in got:
        raise Stop(str(got.get("error", "no answer")) if isinstance(got, dict) else "no answer", 1)
    return got
