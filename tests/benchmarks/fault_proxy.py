"""A proxy before an S3 server that breaks requests on purpose: errors, resets, lost replies, hangs, flipped bits.

HTTP/1.1 on loopback, in a thread. The Host header passes unchanged, so signatures stay valid. Which request is hit is
drawn from a seed; `rates` can be changed while it runs, `injected` counts what was done. `objects` names those
that are always hit: part of the path → `forbidden`, `archived` (its content only, as in GLACIER) or another kind.
`heads` keeps first line and headers of each request.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

_HEAD_LIMIT = 1 << 20
_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>injected</Message>'
    "<Resource>/</Resource><RequestId>0</RequestId></Error>"
)
_ERRORS = {
    "500": ("500 Internal Server Error", "InternalError"),
    "503": ("503 Slow Down", "SlowDown"),
    "forbidden": ("403 Forbidden", "AccessDenied"),
    "archived": ("403 Forbidden", "InvalidObjectState"),
}
_SLOW_PIECE, _SLOW_PAUSE_SECONDS, _SLOW_MOST_PAUSES = 16 << 10, 0.05, 60


@dataclass
class Message:
    """A request or a reply: first line, headers by lower-case name, everything as it came."""

    first: str
    headers: dict[str, str]
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """As it came."""
        return self.head + self.body


class FaultProxy:
    """Listens on a free port of loopback and passes requests on to `server` (`http://host:port`)."""

    KINDS: ClassVar = (
        "500",
        "503",
        "reset",
        "cut request",
        "lost reply",
        "cut reply",
        "hang",
        "slow link",
        "flipped bit",
    )

    def __init__(self, server: str, seed: int, hang_seconds: float = 8) -> None:
        place = urlsplit(server)
        self._server = (place.hostname or "", place.port or 80)
        self._draws = random.Random(seed)  # noqa: S311 - which request is broken, not a secret
        self._hang_seconds = hang_seconds
        self.rates: dict[str, float] = {}
        self.injected: Counter[str] = Counter()
        self.objects: dict[str, str] = {}
        self.heads: list[tuple[str, dict[str, str]]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> FaultProxy:
        """Start; `endpoint` is the address then."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, with all connections."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        listener = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        self.endpoint = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._end.wait()
        listener.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while (request := await _read_request(reader, writer)) is not None:
                self.heads.append((request.first, request.headers))
                reply = await self._answer(request, writer)
                if reply is None:
                    break
                if reply.headers.get("connection", "").lower() == "close":
                    writer.close()
                    await writer.wait_closed()
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            _abort(writer)

    async def _answer(self, request: Message, writer: asyncio.StreamWriter) -> Message | None:
        """Handle one request; the reply that was sent, None when the connection is to break."""
        fault = self._draw(request)
        if fault == "reset":
            return None
        if fault == "hang":
            await asyncio.sleep(self._hang_seconds)
            return None
        if fault in _ERRORS:
            reply: Message | None = _error(*_ERRORS[fault], only_head=request.first.startswith("HEAD"))
        else:
            reply = await self._forward(request, cut=fault == "cut request")
        if reply is None or fault == "lost reply":
            return None
        if fault == "cut reply":
            writer.write(reply.raw[: len(reply.head) + len(reply.body) // 2])
            await writer.drain()
            return None
        if fault == "flipped bit":
            reply.body = self._flipped(reply.body)
        await _send(writer, reply, slow=fault == "slow link")
        return reply

    def _flipped(self, body: bytes) -> bytes:
        if not body:
            return body
        place = self._draws.randrange(8 * len(body))
        changed = bytearray(body)
        changed[place // 8] ^= 1 << place % 8
        return bytes(changed)

    @property
    def requests(self) -> int:
        """How many there were."""
        return len(self.heads)

    def _draw(self, request: Message) -> str:
        """The fault for this request, "" for none."""
        method, path = request.first.split()[:2]
        for part, kind in self.objects.items():
            if part in path.partition("?")[0] and not (kind == "archived" and method == "HEAD"):
                self.injected[kind] += 1
                return kind
        point = self._draws.random()
        for kind, rate in self.rates.items():
            point -= rate
            if point < 0:
                if kind == "flipped bit" and (not request.first.startswith("GET") or "list-type=" in request.first):
                    return ""  # listings carry no checksum: only https keeps them whole
                self.injected[kind] += 1
                return kind
        return ""

    async def _forward(self, request: Message, cut: bool) -> Message | None:
        """The server's reply; None when there is none, or when the request was cut in the middle."""
        reader, writer = await asyncio.open_connection(*self._server, limit=_HEAD_LIMIT)
        try:
            writer.write(request.raw[: len(request.raw) // 2] if cut else request.raw)
            await writer.drain()
            if cut:
                return None
            while True:
                reply = await _read_reply(reader, request.first.startswith("HEAD"))
                if reply is None or not reply.first.startswith("HTTP/1.1 1"):
                    return reply
        finally:
            _abort(writer)


def _error(status: str, code: str, only_head: bool) -> Message:
    body = _ERROR.format(code=code).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return Message(status, {}, head.encode(), b"" if only_head else body)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Message | None:
    head = await _read_head(reader)
    if head is None:
        return None
    if head.headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        lines = head.head.split(b"\r\n")
        head.head = b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:"))
    head.body = await _read_body(reader, head.headers)
    return head


async def _read_reply(reader: asyncio.StreamReader, only_head: bool) -> Message | None:
    head = await _read_head(reader)
    if head is None or only_head or head.first.split()[1] in ("204", "304") or head.first.startswith("HTTP/1.1 1"):
        return head
    known = "content-length" in head.headers or "transfer-encoding" in head.headers
    head.body = await _read_body(reader, head.headers) if known else await reader.read()
    return head


async def _read_head(reader: asyncio.StreamReader) -> Message | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Message(first, {name.lower(): value.strip() for name, _, value in pairs}, head, b"")


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if size == 0:
            return bytes(body)


async def _send(writer: asyncio.StreamWriter, reply: Message, slow: bool) -> None:
    if slow:
        piece = max(_SLOW_PIECE, len(reply.body) // _SLOW_MOST_PAUSES)
        writer.write(reply.head)
        for start in range(0, len(reply.body), piece):
            writer.write(reply.body[start : start + piece])
            await writer.drain()
            await asyncio.sleep(_SLOW_PAUSE_SECONDS)
    else:
        writer.write(reply.raw)
    await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Break the connection: the other side gets a reset."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
