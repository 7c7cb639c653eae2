"""The command `finetune`. `python -m training` mounts it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from features.thresholds import STRONGLY_LIKED_FROM
from training.commands.options import Data, Device, Home, Seed, errors_shown, progress_bar, read_data
from training.data.location import SAMPLE
from training.data.splits import Protocol
from training.ranking.metrics import RankingMetrics, paired_bootstrap

app = typer.Typer(no_args_is_help=True, help="A text encoder of one's own.")

METRICS = ("ndcg@10", "hit_rate@10", "coverage@10")


@app.command("finetune")
def finetune_command(
    data: Data = SAMPLE,
    home: Home = Path(".marquee"),
    hold_out: Annotated[
        Protocol | None,
        typer.Option(help="Events it must not learn from: what the training that uses it holds out."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=2, help="Pairs of co-liked films to learn from, at most.")] = 6_400,
    liked: Annotated[
        float, typer.Option(min=0.5, max=5, help="A film rated at least this is liked.")
    ] = STRONGLY_LIKED_FROM,
    window: Annotated[
        int, typer.Option(min=1, help="A pair is liked by one person, at most this many liked films apart.")
    ] = 5,
    batch_size: Annotated[
        int, typer.Option(min=2, help="Pairs per batch; each film is contrasted with all others of its batch.")
    ] = 64,
    learning_rate: Annotated[float, typer.Option(min=0, help="The highest, reached after a tenth.")] = 2e-5,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Fine-tune the text encoder so that films liked by the same people come closer, and measure the gain.

    Pairs are films that one person liked soon after one another, in the events that a training learns from: neither
    test nor validation events are among them. Popular films are drawn less often than they occur. The loss is
    sentence-transformers' multiple negatives ranking: a film must find its partner among those of its batch.

    The encoder is written below HOME/encoders and reused for equal options. The second file is for `--options` of
    the other commands. For example:

    \b
    python -m training finetune --data ml-latest-small --hold-out last5
    python -m export evaluate --data ml-latest-small --protocol last5 --options \\
        .marquee/tuning/text-ml-latest-small-last5.json
    python -m training finetune --data ml-latest-small
    python -m export run --data ml-latest-small --options .marquee/tuning/text-ml-latest-small.json
    """
    from training.content.encode import ContentOptions, encode_content
    from training.finetuning.finetuned_encoder import Finetuning, text_quality
    from training.finetuning.text import FinetuneOptions
    from training.models.content_profile import ContentProfileConfig
    from training.options import pick_device

    console = Console()
    dataset, torch_device = read_data(data, home, console), pick_device(device)
    options = FinetuneOptions(pairs, liked, window, batch_size, learning_rate, seed, torch_device)
    wanted = Finetuning(options, hold_out)
    with errors_shown(console), progress_bar(console) as progress:
        task = progress.add_task("Fine-tuning", total=None)

        def on_step(done: int, total: int, loss: float) -> None:
            progress.update(task, completed=done, total=total, description=f"Fine-tuning, loss {loss:.3f}")

        folder, facts = wanted.encoder(dataset, home, on_step)
        progress.update(task, completed=facts.steps, total=facts.steps)
    split = wanted.validation(dataset)
    before, after = (
        text_quality(
            encode_content(dataset, home / "cache", ContentOptions(False, text_encoder_folder=one), torch_device),
            split, ContentProfileConfig(),
        )
        for one in (None, folder)
    )  # fmt: skip
    out = home / "tuning" / f"text-{dataset.name}{f'-{hold_out}' if hold_out else ''}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    said = {"content": {"text_encoder_folder": str(folder.resolve())}}
    out.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
    console.print(_table(before, after, len(split.people)))
    console.print(
        f"Loss {facts.first_loss:.3f} → {facts.last_loss:.3f} in {facts.steps} steps. Wrote [bold]{folder}[/] and "
        f"[bold]{out}[/]: give the latter to train, evaluate or export with --options",
        highlight=False,
    )


def _table(before: RankingMetrics, after: RankingMetrics, people: int) -> Table:
    """Metrics of the text source alone with both encoders on validation people."""
    table = Table(title=f"text alone, {people} validation people", title_justify="left")
    for heading in ("", "as packaged", "fine-tuned", "difference, 95 %"):
        table.add_column(heading)
    was, now = before.summary(), after.summary()
    for metric in METRICS:
        lead = ""
        if metric in after.per_person:
            interval = paired_bootstrap(after.per_person[metric], before.per_person[metric])
            lead = f"{interval.mean:+.4f}, {interval.low:+.4f} to {interval.high:+.4f}"
        table.add_row(metric, f"{was[metric]['mean']:.4f}", f"{now[metric]['mean']:.4f}", lead)
    return table
