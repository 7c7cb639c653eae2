"""A real tritonserver on a release of ours, for as long as a test module runs.

The reference server has the Python backend alone: graphs are run by a `model.py` with onnxruntime. Its stub takes no
virtual environment, so each `model.py` first extends `sys.path`; our models are loaded, unchanged, after that.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from export.layout import TORCHSCRIPT_TOWER

START_TIMEOUT_S = 180
"""The server takes 13 to 20 seconds on an idle machine."""

OUR_MODEL = """
import os, sys
from pathlib import Path
sys.path.insert(0, os.environ["REFERENCE_SITE_PACKAGES"])
ours = Path(__file__).with_name("our_model.py")
exec(compile(ours.read_bytes(), ours, "exec"))
"""

GRAPH_MODEL = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, os.environ["REFERENCE_SITE_PACKAGES"])
import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        self.session = onnxruntime.InferenceSession(str(Path(__file__).with_name("graph.onnx")))

    def execute(self, requests):
        responses = []
        for request in requests:
            feed = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            tensors = zip(self.outputs, self.session.run(self.outputs, feed))
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor(name, tensor) for name, tensor in tensors]))
        return responses
"""


def adapt(repository: Path, adapted: Path) -> list[str]:
    """Copy a release so that the reference server can run it; the names of its models."""
    models = []
    for folder in sorted(path.parent for path in repository.glob("*/config.pbtxt")):
        if folder.name == TORCHSCRIPT_TOWER or not (folder / "1").is_dir():
            continue  # libtorch is not part of the reference server
        target = shutil.copytree(folder, adapted / folder.name)
        if (target / "1" / "model.onnx").exists():
            (target / "1" / "model.onnx").rename(target / "1" / "graph.onnx")
            (target / "1" / "model.py").write_text(GRAPH_MODEL)
            config = (target / "config.pbtxt").read_text().replace('platform: "onnxruntime_onnx"\n', "")
            (target / "config.pbtxt").write_text(config.replace('backend: "onnxruntime"', 'backend: "python"'))
        elif (target / "1" / "model.py").exists():
            (target / "1" / "model.py").rename(target / "1" / "our_model.py")
            (target / "1" / "model.py").write_text(OUR_MODEL)
        models.append(folder.name)
    return models


@contextmanager
def reference_server(reference: Path, repository: Path, models: list[str], log: Path) -> Iterator[str]:
    """Start tritonserver from its folder; the address of its gRPC endpoint, once every model is ready."""
    home = reference / "tw" / "pytriton" / "tritonserver"
    http, grpc, metrics = _free_ports(3)
    command = [
        home / "bin" / "tritonserver", f"--model-repository={repository}", f"--backend-directory={home / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name=marquee_{os.getpid()}", "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models), "--allow-metrics=false",
        "--http-address=127.0.0.1", f"--http-port={http}", "--grpc-address=127.0.0.1", f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
    ]  # fmt: skip
    site_packages = reference / "ortvenv" / "lib" / "python3.11" / "site-packages"
    environment = {**os.environ, "REFERENCE_SITE_PACKAGES": str(site_packages), "OMP_NUM_THREADS": "1"}
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            _wait_until_ready(server, f"127.0.0.1:{grpc}", log)
            yield f"127.0.0.1:{grpc}"
        finally:
            server.terminate()
            server.wait(60)


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with triton.InferenceServerClient(address) as client:
        while server.poll() is None and time.monotonic() < deadline:
            try:
                if client.is_server_ready():
                    return
            except InferenceServerException:
                time.sleep(0.2)  # the server tells nobody when it begins to listen
    raise AssertionError(f"tritonserver did not become ready:\n{log.read_text()[-4000:]}")


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: tritonserver does not take port 0."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
