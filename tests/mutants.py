"""Puts small bugs into one part of the code and counts how many of them the tests of that part notice.

    python tests/mutants.py PART

The bugs are mutmut's; it works on a copy of the checkout under `.marquee/mutants/PART`, so nothing here changes.
What survived is listed in `reports/mutants-PART.txt`, one name a line; `mutmut show NAME` in that copy prints it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("features", "sample", "training", "export", "bento", "clients", "loadtest")
ALSO_COPIED = ("tests", "model_repository", "docs", "Makefile", "README.md", "constraints.txt", "bentofile.yaml")


@dataclass(frozen=True, slots=True)
class Part:
    """Files that get bugs, and the tests that should notice."""

    code: tuple[str, ...]
    tests: tuple[str, ...]


SCHEDULING, PROTOCOL, REPOSITORY = (
    "bento/inference/scheduling",
    "bento/inference/protocol",
    "bento/inference/repository",
)

PARTS = {
    "features": Part(("features/*",), ("tests/features",)),
    "batcher": Part(  # its decisions alone: properties would be shrunk for each bug, and a held model waits for its end
        (f"{SCHEDULING}/dynamic_batcher.py", f"{SCHEDULING}/batching_rules.py"),
        ("tests/inference/scheduling/test_scheduler.py",),
    ),
    "codec": Part(
        (f"{PROTOCOL}/v2_codec.py", f"{PROTOCOL}/json_fields.py", "bento/inference/over_grpc/codec.py"),
        ("tests/inference/protocol", "tests/inference/over_http/test_http_infer.py", "tests/inference/over_grpc"),
    ),
    "ensembles": Part(("bento/inference/models/ensemble*.py",), ("tests/inference/models",)),
    "control": Part(
        (f"{REPOSITORY}/control.py", f"{REPOSITORY}/model_table.py"),
        ("tests/inference/repository", "tests/inference/models/test_ensembles.py"),
    ),
    "ranking": Part(
        ("bento/recommender/ranking/*", "bento/recommender/retrieval/*"),
        ("tests/recommender/ranking", "tests/recommender/retrieval", "tests/recommender/test_pipeline.py"),
    ),
    "stores": Part(("bento/stores/*",), ("tests/stores",)),
    "auth": Part(("bento/auth/*",), ("tests/auth",)),
}

ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Each bug runs in a fork of a process that has imported the tests; threads of native libraries are not in it."""


def copy_checkout(folder: Path) -> None:
    """Everything that git knows or would take, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PACKAGES, *ALSO_COPIED]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def configuration(part: Part) -> str:
    """The project's own pyproject.toml with mutmut's settings for a part."""
    settings = {
        "source_paths": list(PACKAGES),
        "only_mutate": list(part.code),
        "pytest_add_cli_args_test_selection": list(part.tests),
        "also_copy": list(ALSO_COPIED),
        "process_isolation": "forkserver",
        "do_not_mutate_patterns": [r"log\.\w+\("],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join([(ROOT / "pyproject.toml").read_text(encoding="utf-8"), "[tool.mutmut]", *lines, ""])


def main(name: str) -> int:
    """Run one part; returns mutmut's exit status."""
    folder = ROOT / ".marquee" / "mutants" / name
    copy_checkout(folder)
    (folder / "pyproject.toml").write_text(configuration(PARTS[name]), encoding="utf-8")
    mutmut = [sys.executable, "-m", "mutmut"]
    environment = os.environ | ONE_THREAD
    ran = subprocess.run([*mutmut, "run"], cwd=folder, env=environment, check=False)
    if ran.returncode:
        return ran.returncode
    subprocess.run([*mutmut, "export-cicd-stats"], cwd=folder, env=environment, check=True, capture_output=True)
    counts = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text(encoding="utf-8"))
    results = subprocess.run([*mutmut, "results"], cwd=folder, env=environment, check=True, capture_output=True)
    report = ROOT / "reports" / f"mutants-{name}.txt"
    report.parent.mkdir(exist_ok=True)
    report.write_bytes(results.stdout)
    noticed = counts["killed"] + counts["timeout"]
    print(f"{name}: {noticed} of {counts['total']} bugs noticed, {noticed / counts['total']:.0%}; the others: {report}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
        sys.exit(f"usage: make mutants PART=NAME, one of {', '.join(PARTS)}")
    sys.exit(main(sys.argv[1]))
