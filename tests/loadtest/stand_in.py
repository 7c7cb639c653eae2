"""A small server in place of Marquee whose delays and refusals are known beforehand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILMS = 200


@dataclass(slots=True)
class StandIn:
    """What the server does, and what it was asked."""

    stall_s: float = 0
    stall_at: int = 0
    """The question (counted from 1) at which everything stands still for `stall_s`; 0: none does."""
    refuse_each: int = 0
    """Every so many-th question is refused with 503; 0: none is."""
    port: int = 0
    questions: list[dict[str, object]] = field(default_factory=list)
    everything: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def status_of(self, question: dict[str, object] | None) -> int:
        """One request at a time; the question that stalls holds up all others. None: no question."""
        with self.everything:
            if question is None:
                return 200
            self.questions.append(question)
            if len(self.questions) == self.stall_at:
                threading.Event().wait(self.stall_s)
            return 503 if self.refuse_each and len(self.questions) % self.refuse_each == 0 else 200


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


@contextmanager
def stand_in(**behaviour: float) -> Iterator[StandIn]:
    """A running server on a free port of 127.0.0.1."""
    told = StandIn(**behaviour)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status = told.status_of(body if self.path == "/recommend" else None)
            films = [{"movie_id": number} for number in range(1, 1 + min(body.get("top_k", 10), FILMS))]
            self.answer(status, {"recommendations": films})

        def do_GET(self) -> None:
            self.answer(told.status_of(None), {})

        def answer(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are counted, not printed."""

    with Server(("127.0.0.1", 0), Handler) as server:
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield told
        server.shutdown()
        thread.join()
