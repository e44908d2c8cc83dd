"""Inside a room: runs a command in a terminal of its own and types lines into it, one for each "> " it shows.

Run by the tests of this folder with the system's Python: keys.py LINES_AS_JSON COMMAND...
"""

import json
import os
import pty
import sys


def main(lines: list[str], words: list[str]) -> int:
    """The command's exit code; what it showed goes to standard output."""
    pid, terminal = pty.fork()
    if not pid:
        os.execvp(words[0], words)
    shown = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        shown += data
        if data.endswith((b"> ", b"] ")) and lines:
            os.write(terminal, lines.pop(0).encode() + b"\n")
    sys.stdout.write(shown.decode("utf-8", "replace"))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
