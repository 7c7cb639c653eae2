"""The examples of Triton's own Python client, unchanged, against our server. Each ends with its own checks passed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.inference.official_clients.simple_models import CONTROLLED, write_repository
from tests.inference.server_process import Started, started

pytestmark = pytest.mark.slow

BOTH = ("http", "grpc")
EXAMPLES = [
    *(f"simple_{way}_{what}.py" for way in BOTH for what in (
        "infer_client", "async_infer_client", "aio_infer_client", "string_infer_client", "shm_client",
        "shm_string_client", "health_metadata", "sequence_sync_infer_client")),
    "simple_http_infer_client.py --request-compression-algorithm gzip --response-compression-algorithm deflate",
    "simple_http_aio_infer_client.py --request-compression-algorithm deflate --response-compression-algorithm gzip",
    "simple_grpc_infer_client.py --grpc-compression-algorithm gzip --client-timeout 20",
    "simple_grpc_aio_infer_client.py --grpc-compression-algorithm deflate",
    "simple_grpc_sequence_stream_infer_client.py", "simple_grpc_sequence_stream_infer_client.py --dyna",
    "simple_grpc_aio_sequence_stream_infer_client.py", "simple_grpc_aio_sequence_stream_infer_client.py --dyna",
    "simple_http_sequence_sync_infer_client.py --dyna", "simple_grpc_sequence_sync_infer_client.py --dyna",
    "simple_grpc_custom_repeat.py", "simple_grpc_custom_args_client.py", "simple_grpc_keepalive_client.py",
    "grpc_explicit_byte_content_client.py", "grpc_explicit_int8_content_client.py",
    "grpc_explicit_int_content_client.py", "grpc_client.py",
    "reuse_infer_objects_client.py -i http", "reuse_infer_objects_client.py -i grpc",
]  # fmt: skip
# Over HTTP image_client.py needs a package that current Pythons cannot run.
IMAGE_EXAMPLES = [
    "image_client.py -i grpc -m colours -c 3 -s INCEPTION",
    "image_client.py -i grpc -m colours -c 3 -b 2 --async",
    "image_client.py -i grpc -m colours -c 3 --streaming",
    "grpc_image_client.py -m colours -c 3 -s INCEPTION",
    "grpc_image_client.py -m colours -c 3 --streaming",
]


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of the examples."""
    if not os.environ.get("TRITON_CLIENT_EXAMPLES"):
        pytest.skip("needs TRITON_CLIENT_EXAMPLES=DIR, the examples that tests/client_examples.sh has fetched")
    return Path(os.environ["TRITON_CLIENT_EXAMPLES"]).resolve()


@pytest.fixture(scope="session")
def server(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Ours, with every model that the examples ask for."""
    root = tmp_path_factory.mktemp("models")
    write_repository(root)
    with started(f"--model-repository={root}", "--trust-python-models") as running:
        yield running


def run(examples: Path, server: Started, example: str, *more: str) -> str:
    """What the example prints. Raises when it fails, or does not say that it passed."""
    script, *flags = example.split()
    over_grpc = "grpc" in example
    command = [sys.executable, str(examples / script), "-u", server.grpc if over_grpc else server.http, *flags, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert "FAIL" not in printed
    assert "Traceback" not in printed
    return printed


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_passes(example, examples, server):
    run(examples, server, example)


@pytest.mark.parametrize("example", IMAGE_EXAMPLES)
def test_an_image_is_classified_with_labels(example, examples, server, tmp_path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 30), (10, 250, 120)).save(picture)
    printed = run(examples, server, example, str(picture))
    assert "PASS" in printed
    best = next(line for line in printed.splitlines() if any(label in line for label in ("red", "green", "blue")))
    assert "green" in best


@pytest.mark.parametrize(("protocol", "models"), [("http", CONTROLLED[:-1]), ("grpc", CONTROLLED)])
def test_models_are_controlled(protocol, models, examples, tmp_path):
    write_repository(tmp_path, models)
    flags = [f"--model-repository={tmp_path}", "--model-control-mode=explicit", "--trust-python-models"]
    with started(*flags) as running:
        assert "PASS: model control" in run(examples, running, f"simple_{protocol}_model_control.py")
