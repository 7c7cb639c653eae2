"""Infer requests as they are on the wire, and a connection that sends and receives them byte by byte."""

from __future__ import annotations

import json
import socket
import struct

SIXTEEN = struct.pack("<16i", *range(16))
PATH = "/v2/models/simple/infer"


def body(*tensors: bytes, **members: object) -> tuple[bytes, int]:
    inputs = [
        {"name": name, "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": 64}}
        for name in ("INPUT0", "INPUT1")
    ]
    header = json.dumps({"inputs": inputs, **members}).encode()
    return header + b"".join(tensors), len(header)


def request(*tensors: bytes, path: str = PATH, headers: str = "", **members: object) -> bytes:
    data, length = body(*(tensors or (SIXTEEN, SIXTEEN)), **members)
    head = f"POST {path} HTTP/1.1\r\nHost: films\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Inference-Header-Content-Length: {length}\r\n{headers}\r\n".encode() + data


class Wire:
    """A connection on which every byte is under the test's control."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def answer(self) -> tuple[bytes, bytes]:
        """Head and body of the next answer."""
        head = self.take_until(b"\r\n\r\n")
        size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        while len(self._received) < size:
            self._receive()
        data, self._received = self._received[:size], self._received[size:]
        return head, data

    def ask(self, data: bytes) -> tuple[bytes, bytes]:
        self.socket.sendall(data)
        return self.answer()

    def take_until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        head, self._received = self._received.split(end, 1)
        return head

    def _receive(self) -> None:
        data = self.socket.recv(65536)
        assert data, "the server closed the connection"
        self._received += data
