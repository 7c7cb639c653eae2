"""Dockerfile.gpu builds without a daemon and its container serves; a built bento serves too.

The image is built with buildah (chroot isolation) on a Debian base that debootstrap lays out, for the CPU: the same
file, other arguments. What only a GPU node shows, its CUDA packages at work, is not tested here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, TEST_HOME, SampleRelease, free_port

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
READY_TIMEOUT_S = 90.0


def clone_with_release(release: SampleRelease, folder: Path) -> Path:
    """A fresh clone of the committed code, with the sample's release in it."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    shutil.copytree(release.repository, folder / "model_repository", dirs_exist_ok=True)
    return folder


def recommends(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait for readiness, then ask for one recommendation."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    url = f"http://127.0.0.1:{port}"
    while True:
        try:
            if httpx.get(f"{url}/v2/health/ready", timeout=2).status_code == 200:
                break
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)
    answer = httpx.post(f"{url}/recommend", json={"history": [1, 2], "top_k": 3}, timeout=30)
    return answer.status_code == 200 and len(answer.json()["recommendations"]) == 3


def stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_built_bento_serves_far_from_the_clone(sample_release: SampleRelease, tmp_path: Path) -> None:
    clone = clone_with_release(sample_release, tmp_path / "clone")
    ports = {"PORT": str(free_port()), "GRPC_PORT": str(free_port())}
    environment = (
        os.environ | {"BENTOML_HOME": str(tmp_path / "bentos"), "MARQUEE_HOME": str(tmp_path / "home")} | ports
    )
    bentoml = [sys.executable, "-m", "bentoml"]
    subprocess.run([*bentoml, "build"], cwd=clone, env=environment, check=True, capture_output=True)
    shutil.rmtree(clone)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*bentoml, "serve", "marquee:latest", "--port", ports["PORT"]],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        assert recommends(int(ports["PORT"]), process, log)
    finally:
        stop(process)


def buildah(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """One buildah call on a storage of our own."""
    storage = TEST_HOME / "buildah"
    command = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run"), *arguments]
    environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    return subprocess.run(command, env=environment, check=True, text=True, capture_output=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def image(sample_release: SampleRelease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built for the CPU on a Debian Python base."""
    missing = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and Debian's buildah and debootstrap (missing: {', '.join(missing) or 'root'})")
    work = tmp_path_factory.mktemp("image")
    packages = "python3,python3-venv,ca-certificates"
    bootstrap = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(work / "base")]
    subprocess.run(bootstrap, check=True, capture_output=True)
    base = buildah("from", "scratch").stdout.strip()
    buildah("add", "--quiet", base, str(work / "base"), "/")
    buildah("commit", "--quiet", base, "marquee-test-base")
    clone = clone_with_release(sample_release, work / "clone")
    arguments = ["--build-arg", "BASE_IMAGE=localhost/marquee-test-base", "--build-arg", "HARDWARE=cpu"]
    arguments += ["--build-arg", "EXTRAS="]  # torch's default build is gigabytes of CUDA
    certificates = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    build = ["build", "--network", "host", *certificates, *arguments, "-f", "Dockerfile.gpu", "-t", "marquee-test", "."]
    buildah(*build, cwd=clone)
    yield "localhost/marquee-test"
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_container_answers(image: str, tmp_path: Path) -> None:
    container = buildah("from", image).stdout.strip()
    port, log, storage = free_port(), tmp_path / "log", TEST_HOME / "buildah"
    settings = ["--env", f"PORT={port}", "--env", f"GRPC_PORT={free_port()}"]
    serve = 'exec bentoml serve bento.service:Recommender --port "$PORT"'
    command = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
    command += ["run", "--user", "marquee", *settings, container, "--", "sh", "-c", serve]
    environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        assert recommends(port, process, log)
        left_out = httpx.get(f"http://127.0.0.1:{port}/config", timeout=30).json()["models_left_out"]
        assert "needs torch" in left_out["user_tower_torchscript"]
    finally:
        # bentoml first: buildah kills what is left of it when it ends, and a killed worker leaves its Redis behind
        subprocess.run(["pkill", "-TERM", "-f", f"bentoml serve bento.service:Recommender --port {port}"], check=False)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            stop(process)
