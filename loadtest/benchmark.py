"""`make bench`: Marquee beside the floor it stands on, in one run.

Starts what it measures (Marquee, a standalone inference server with one tiny ONNX model, a bare uvicorn
and a bare grpcio echo), loads each in turn, round by round so that a noisy neighbour hits all alike, and
prints requests/s, p50 and p99 as the median over the rounds.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import httpx
import numpy as np
import orjson
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tritonclient.grpc import service_pb2

from loadtest.click_to_answer import reaction
from loadtest.closed_loop import Round, Target, measure
from loadtest.workload import workload_from_answer

READY_TIMEOUT_S = 120.0
QUIET_GRPC = {"GRPC_EXPERIMENTS": "-event_engine_listener"}
"""What the inference server tells grpcio, and an echo as it comes does not: see `bento.inference`."""
SERVED = "the service's v2 infer"
"""Of the same small model, by the process that recommends."""
FLOORS = {
    f"{who} over {wire}": floor
    for wire, floor in (("HTTP", "bare uvicorn echo"), ("gRPC", "bare grpcio echo"))
    for who in ("v2 infer", SERVED)
}
"""What each kind of inference is told apart from."""
CLICKS = 100
"""People who click in one round."""

UNCACHED_BODIES = 4096
"""Distinct requests of one round of the uncached scenario; more than it can send before the cache could answer one."""


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], ready_port: int, environment: dict[str, str], ready_path: str | None) -> Iterator[None]:
    """A server process, ready when `ready_path` answers 200 (or, without one, when its port accepts).

    Raises RuntimeError with the end of the process's own output when it stops or is not ready in time.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + READY_TIMEOUT_S
            while not is_ready(ready_port, ready_path):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(
                        f"{' '.join(command)} is not ready:\n{log.read()[-3000:].decode(errors='replace')}"
                    )
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def is_ready(port: int, path: str | None) -> bool:
    """Whether a server on `port` answers."""
    try:
        if path is None:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=1).status_code == 200
    except (OSError, httpx.TransportError):
        return False


def write_small_model(repository: Path) -> None:
    """A repository with one model, `add`: two FP32 vectors of 16 in, their sum out, no batching."""
    from onnx import TensorProto, helper, save

    vector = [16]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        "add",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, vector) for name in ("a", "b")],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, vector)],
    )
    version = repository / "add" / "1"
    version.mkdir(parents=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), version / "model.onnx")
    (repository / "add" / "config.pbtxt").write_text('backend: "onnxruntime"\nmax_batch_size: 0\n')


def upload_small_model(repository: Path, port: int) -> None:
    """Have the server on `port` load what `write_small_model` wrote, which its own repository does not hold."""
    model = (repository / "add" / "1" / "model.onnx").read_bytes()
    config = {"backend": "onnxruntime", "max_batch_size": 0}
    parameters = {"config": json.dumps(config), "file:1/model.onnx": base64.b64encode(model).decode()}
    url = f"http://127.0.0.1:{port}/v2/repository/models/add/load"
    httpx.post(url, json={"parameters": parameters}, timeout=30).raise_for_status()


def http_infer_request() -> tuple[bytes, dict[str, str]]:
    """Body and headers of a binary v2 request to `add`."""
    inputs = [
        {"name": name, "shape": [16], "datatype": "FP32", "parameters": {"binary_data_size": 64}} for name in ("a", "b")
    ]
    header = orjson.dumps({"inputs": inputs, "outputs": [{"name": "sum", "parameters": {"binary_data": True}}]})
    data = np.ones(16, dtype=np.float32).tobytes()
    headers = {"Inference-Header-Content-Length": str(len(header)), "Content-Type": "application/octet-stream"}
    return header + data + data, headers


def grpc_infer_request() -> bytes:
    """A serialised ModelInferRequest to `add`."""
    request = service_pb2.ModelInferRequest(model_name="add")
    for name in ("a", "b"):
        request.inputs.add(name=name, datatype="FP32", shape=[16])
        request.raw_input_contents.append(np.ones(16, dtype=np.float32).tobytes())
    serialised: bytes = request.SerializeToString()
    return serialised


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table for each number of clients."""

    target: Target
    new_bodies: Callable[[], tuple[bytes, ...]] | None = None
    """What one round sends; without it, all rounds send the target's own."""
    only_at: int = 0
    """The one number of clients that it is measured with; 0 = with each."""

    def next_round(self) -> Target:
        """The target of one round."""
        return self.target if self.new_bodies is None else replace(self.target, bodies=self.new_bodies())


def counts_of(scenario: Scenario, counts: list[int]) -> list[int]:
    """Numbers of clients that a scenario is measured with."""
    return [count for count in counts if scenario.only_at in (0, count)]


def recommend_scenarios(port: int) -> list[Scenario]:
    """POST /recommend answered from the cache, and never from the cache."""
    chance = random.Random(7)
    answer = httpx.post(f"http://127.0.0.1:{port}/recommend", json={"user_id": "bench", "top_k": 200}, timeout=30)
    answer.raise_for_status()
    workload = workload_from_answer(answer.json()["recommendations"])
    json_type = {"Content-Type": "application/json"}
    cached = (orjson.dumps(workload.uncached_body(chance)),)

    def unseen(scorer: str) -> tuple[bytes, ...]:
        return tuple(orjson.dumps(workload.uncached_body(chance) | {"scorer": scorer}) for _ in range(UNCACHED_BODIES))

    def anew(name: str, scorer: str, only_at: int = 0) -> Scenario:
        target = Target(f"POST /recommend, {name}", "http", port, "/recommend", (), json_type)
        return Scenario(target, lambda: unseen(scorer), only_at)

    return [
        Scenario(Target("POST /recommend, cached", "http", port, "/recommend", cached, json_type)),
        anew("uncached", "dot"),
        anew("uncached, re-ranked", "mlp", only_at=16),
    ]


def print_results(results: dict[tuple[str, int], list[Round]], console: Console) -> list[dict[str, float | str | int]]:
    """Print the table; returns its rows."""
    table = Table("what", "clients", "requests/s", "p50 µs", "p99 µs", title="median over rounds")
    rows: list[dict[str, float | str | int]] = []
    for (name, clients), rounds in results.items():
        per_second = float(np.median([one.per_second for one in rounds]))
        p50, p99 = (float(np.median([np.percentile(one.latencies_us, q) for one in rounds])) for q in (50, 99))
        table.add_row(name, str(clients), f"{per_second:,.0f}", f"{p50:,.0f}", f"{p99:,.0f}")
        rows.append({"what": name, "clients": clients, "per_second": per_second, "p50_us": p50, "p99_us": p99})
    console.print(table)
    p50_of = {(row["what"], row["clients"]): float(row["p50_us"]) for row in rows}
    for served, floor in FLOORS.items():
        if (served, 1) in p50_of and (floor, 1) in p50_of:
            console.print(f"{served} at 1 client: {p50_of[served, 1] - p50_of[floor, 1]:+.0f} µs against {floor}")
    return rows


def main(
    clients: Annotated[str, typer.Option(help="Clients at a time, one column each.")] = "1,16,64",
    seconds: Annotated[float, typer.Option(help="Length of one round.")] = 2.0,
    rounds: Annotated[int, typer.Option(help="Rounds of each measurement; the median counts.")] = 5,
    recommend: Annotated[bool, typer.Option(help="Also start the whole service and ask for recommendations.")] = True,
    report: Annotated[Path, typer.Option(help="Where the figures go as JSON.")] = Path("reports/bench.json"),
) -> None:
    """Measure Marquee beside bare echo servers and print requests/s, p50 and p99."""
    http_echo, grpc_echo, http_quiet, grpc_quiet = (free_port() for _ in range(4))
    http_add, grpc_add, metrics, http_service, grpc_service = (free_port() for _ in range(5))
    http_body, http_headers = http_infer_request()
    grpc_path = "/inference.GRPCInferenceService/ModelInfer"
    python = sys.executable
    with contextlib.ExitStack() as stack:
        repository = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_small_model(repository)
        echo = ["--http-port", str(http_echo), "--grpc-port", str(grpc_echo)]
        stack.enter_context(running([python, "-m", "loadtest.echo_servers", *echo], http_echo, {}, None))
        quiet = ["--http-port", str(http_quiet), "--grpc-port", str(grpc_quiet)]
        stack.enter_context(running([python, "-m", "loadtest.echo_servers", *quiet], http_quiet, QUIET_GRPC, None))
        ports = ["--http-port", str(http_add), "--grpc-port", str(grpc_add), "--metrics-port", str(metrics)]
        standalone = [python, "-m", "bento.inference", "--model-repository", str(repository), *ports]
        stack.enter_context(running(standalone, http_add, {}, "/v2/health/ready"))
        infer_path, message = "/v2/models/add/infer", grpc_infer_request()
        targets = [
            Target("bare uvicorn echo", "http", http_echo, "/", (http_body,), http_headers),
            Target("v2 infer over HTTP", "http", http_add, infer_path, (http_body,), http_headers),
            Target("bare grpcio echo", "grpc", grpc_echo, grpc_path, (message,)),
            Target("the same, without event engine", "grpc", grpc_quiet, grpc_path, (message,)),
            Target("v2 infer over gRPC", "grpc", grpc_add, grpc_path, (message,)),
        ]
        scenarios = [Scenario(target) for target in targets]
        if recommend:
            service = [python, "-m", "bentoml", "serve", "bento.service:Recommender", "--port", str(http_service)]
            settings = {"GRPC_PORT": str(grpc_service), "MARQUEE_HOME": str(repository / "home")}
            stack.enter_context(running(service, http_service, settings, "/v2/health/ready"))
            upload_small_model(repository, http_service)
            in_service = (
                Target(f"{SERVED} over HTTP", "http", http_service, infer_path, (http_body,), http_headers),
                Target(f"{SERVED} over gRPC", "grpc", grpc_service, grpc_path, (message,)),
            )
            scenarios += [*map(Scenario, in_service), *recommend_scenarios(http_service)]
        counts = [int(count) for count in clients.split(",")]
        results: dict[tuple[str, int], list[Round]] = {
            (scenario.target.name, count): [] for scenario in scenarios for count in counts_of(scenario, counts)
        }
        plan = [
            (scenario, count)
            for _ in range(rounds)
            for count in counts
            for scenario in scenarios
            if count in counts_of(scenario, counts)
        ]
        for scenario, count in track(plan, "measuring", console=Console(stderr=True)):
            results[scenario.target.name, count].append(measure(scenario.next_round(), count, seconds))
        if recommend:
            for count in counts:
                row = "acknowledged event to changed answer", count
                results[row] = [reaction(http_service, CLICKS, count) for _ in range(rounds)]
    rows = print_results(results, Console())
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"rounds": rounds, "seconds": seconds, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
