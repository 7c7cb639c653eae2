"""`python -m export`: make releases, check them, find the one to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from export.commands.builder import ReleaseBuilder
from export.commands.command_options import Data, Device, Home, OptionsFile, Posters, PosterWeights, Seed, errors_shown
from export.commands.evaluate import app as evaluate_app
from export.commands.release_options import HoldOut, IndexName, PrecisionName, ReleaseOptions
from export.commands.tracking import Tracking, registered_line
from export.release.manifest import read_manifest, release_of
from features.release_manifest import ReleaseFacts

app = typer.Typer(
    no_args_is_help=True,
    help="From a training to a model repository that Marquee and NVIDIA Triton serve. "
    "A release is one version number common to all its models; `release.json` lists the releases.",
)
console = Console(stderr=True, highlight=False)
"""Progress and errors; standard output carries results alone."""

Repository = Annotated[
    Path,
    typer.Option(
        envvar="MODEL_REPOSITORY", help="The model repository. Configurations that it lacks are copied into it."
    ),
]
Hold = Annotated[
    HoldOut | None, typer.Option(help="Keep these events away from the models, to score the served release on.")
]
Precision = Annotated[
    PrecisionName,
    typer.Option(help="Of the larger networks: fp16 for GPUs, int8 for CPUs. What it costs is measured and bounded."),
]
Index = Annotated[
    IndexName,
    typer.Option(
        "--index",
        envvar="INDEX",
        help="Of retrieval: flat is exact, ivf and hnsw are faster on large catalogues, ivfpq needs the least memory. "
        "What they find of the exact answer is measured and bounded.",
    ),
]
Keep = Annotated[int, typer.Option(min=1, help="Releases that stay in the repository, the new one among them.")]
TrackingUri = Annotated[
    str | None, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's address; by default HOME/mlflow.db.")
]
Number = Annotated[int | None, typer.Option("--release", min=1, help="Its number; the current one when left out.")]


@app.command()
def run(
    data: Data = "sample",
    repository: Repository = Path("model_repository"),
    home: Home = Path(".marquee"),
    hold_out: Hold = None,
    seed: Seed = 0,
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    index: Index = "flat",
    keep: Keep = 3,
    max_loss: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the validation NDCG@10 that may be lost against the current release, if of the same data.",
        ),
    ] = 0.05,
    accept_worse: Annotated[bool, typer.Option(help="Publish even when more is lost.")] = False,
    options_file: OptionsFile = None,
    track: Annotated[
        bool, typer.Option(help="Write the training down in MLflow (the extra `lab`) and register the release.")
    ] = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Export a release, training first when these options have not been trained yet.

    Every exported network is compared with the one it was made from; when one differs, nothing is published.
    The number of the new release goes to standard output. For example:

    python -m export run --data ml-latest-small --repository /srv/models
    """
    options = ReleaseOptions(data, hold_out, seed, posters, device, precision, poster_weights, options_file, index)
    builder = ReleaseBuilder(repository, home, keep, console, Tracking(track, tracking_uri))
    with errors_shown(console):
        print(builder.build(options, None if accept_worse else max_loss))


@app.command("ensure")
def ensure_command(
    data: Data = "sample",
    repository: Repository = Path("model_repository"),
    home: Home = Path(".marquee"),
    hold_out: Hold = None,
    seed: Seed = 0,
    posters: Posters = True,
    poster_weights: PosterWeights = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    index: Index = "flat",
    keep: Keep = 3,
    print_release: Annotated[
        bool, typer.Option(help="Print the number alone as the last line of standard output.")
    ] = False,
) -> None:
    """Find a whole release of these data made by this version, or train and export one.

    What `make serve` runs first. When there is nothing to do it takes well under a second.
    """
    from export.commands.ensure import ensure

    options = ReleaseOptions(data, hold_out, seed, posters, device, precision, poster_weights, index=index)
    with errors_shown(console):
        ensured = ensure(
            options,
            repository,
            home,
            lambda: ReleaseBuilder(repository, home, keep, console).build(options, None),
            lambda line: console.print(line),
        )
        release = read_manifest(repository).releases[ensured.number]
        console.print(f"Release [bold]{ensured.number}[/] in {repository}: {_describe(release)}")
    if print_release:
        print(ensured.number)


@app.command("validate")
def validate_command(repository: Repository = Path("model_repository"), number: Number = None) -> None:
    """Check every file of a release: there, unaltered, proven, and all of one release.

    Ends with status 0 when the release is whole, else with 1 and a line for each part that is off. For example:

    python -m export validate --repository /srv/models --release 3
    """
    from export.release.validate import validate

    with errors_shown(console):
        problems = validate(repository, number)
        shown, release = release_of(read_manifest(repository), number)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    files = sum(len(model.files) for model in release.models.values())
    print(f"Release {shown} is whole: {len(release.models)} models, {files} files, {_describe(release)}")


@app.command("list")
def list_command(repository: Repository = Path("model_repository")) -> None:
    """List the releases of a repository; * marks the one that servers start with."""
    with errors_shown(console):
        manifest = read_manifest(repository)
    table = Table("", "release", "made", "data", "people", "films", "quality", box=None, pad_edge=False)
    for number, release in sorted(manifest.releases.items()):
        mark = "*" if number == manifest.current else ""
        data = release.data
        table.add_row(
            mark, str(number), release.created_at, data.name + (" (simulated)" if data.simulated else ""),
            f"{data.people:,}", f"{data.films:,}", _quality(release),
        )  # fmt: skip
    Console(highlight=False).print(table if manifest.releases else f"{repository} holds no release")


@app.command("indexes")
def indexes_command(repository: Repository = Path("model_repository"), number: Number = None) -> None:
    """Build every kind of retrieval index over a release's films and compare recall, time and size.

    Queries are those of the release's own people; times are the fastest of five, on one thread. For example:

    python -m export indexes --repository /srv/models
    """
    from export.evaluation.index_comparison import compare_indexes

    headings = ("index", "recall@10", "recall@100", "width", "1 query", "64 queries", "built in", "size")
    table = Table(*headings, box=None, pad_edge=False)
    with errors_shown(console):
        for row in compare_indexes(repository, number):
            facts = row.facts
            found = [f"{facts.recall[k]:.3f}" for k in ("10", "100")] if facts else ["too low", "too low"]
            table.add_row(
                row.kind, *found, str(facts.width) if facts else "-", f"{row.alone_ms:.2f} ms",
                f"{row.batch_ms:.1f} ms", f"{row.build_s:.1f} s", f"{row.bytes / 1e6:.1f} MB",
            )  # fmt: skip
    Console(highlight=False).print(table)


@app.command("embeddings")
def embeddings_command(
    out: Annotated[Path, typer.Option(help="Folder to write; made if need be.")],
    repository: Repository = Path("model_repository"),
    number: Number = None,
) -> None:
    """Write the vectors of a release's people and films: .npy for each source, Parquet, embeddings.json.

    They come from the files that are served. A score of a source is the dot product of a row of
    users_<source>.npy with a row of movies_<source>.npy. For example:

    python -m export embeddings --repository /srv/models --out vectors
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from export.release.embeddings import release_embeddings
    from training.ranking.embeddings import write_embeddings

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with errors_shown(console), Progress(*columns, console=console) as progress:
        task = progress.add_task("Encoding people", total=None)
        embeddings = release_embeddings(
            repository, number, lambda done, total: progress.update(task, completed=done, total=total)
        )
        written = write_embeddings(embeddings, out)
    print(f"Wrote {len(written)} files to {out}: spaces {', '.join(embeddings.movies)}")


@app.command("use")
def use_command(
    number: Annotated[int, typer.Argument(min=1, help="Number of a release in the repository.")],
    repository: Repository = Path("model_repository"),
    home: Home = Path(".marquee"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Let servers start with another release, for instance the former one.

    NVIDIA Triton, which reads no release.json, goes on serving the highest number of each model by itself;
    Marquee asks it for the release's number explicitly. Where the release is registered in MLflow, the alias
    moves with it.
    """
    from export.release.publish import make_current, repository_lock

    with errors_shown(console), repository_lock(repository):
        make_current(repository, number)
    print(f"Release {number} is current")
    if store := Tracking(False, tracking_uri).store(home):
        from training.tracking.registry import serve_release

        data = read_manifest(repository).releases[number].data.name
        if version := serve_release(store, data, repository, number):
            console.print(registered_line(data, version))


def _describe(release: ReleaseFacts) -> str:
    data = release.data
    people = f"{data.people:,} {'SIMULATED ' if data.simulated else ''}people"
    held_out = f", {data.hold_out} held out" if data.hold_out else ""
    return f"{data.name}, {people}, {data.films:,} films{held_out}; validation NDCG@10 {_quality(release)}"


def _quality(release: ReleaseFacts) -> str:
    from export.release.quality_gate import quality

    return f"{quality(release.metrics):.4f}"


app.registered_commands += evaluate_app.registered_commands

if __name__ == "__main__":
    app()
