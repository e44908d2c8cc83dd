"""The agent's line to `control`: one JSON request, one JSON answer, over its Unix socket. Called by `agent`."""

import asyncio
import json
from pathlib import Path
from typing import Any

LINE = 1 << 20


async def ask(path: Path, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The answer to `request`.

    Raises:
        OSError: nobody listens, or the line broke.
        TimeoutError: no answer within `seconds`.
        ValueError: what came is no answer; an error that `control` names is its text.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE)
        try:
            writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    if not line:
        raise ConnectionResetError("control closed the line: name this user in agent.users")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("control: no answer")
    if "error" in answer:
        raise ValueError(f"control: {answer['error']}")
    return answer
