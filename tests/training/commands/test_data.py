"""The commands about data, as people type them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from training.commands.data import app

MOVIES = "movieId,title,genres\n10,Toy Story (1995),Children\n11,Heat (1995),Crime\n"
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{user},10,4.0,1577836800\n" for user in range(1, 201))


def run(*arguments: str | Path) -> Result:
    """Run a command on a wide terminal, so that no line is broken."""
    return CliRunner().invoke(app, [str(word) for word in arguments], env={"COLUMNS": "220", "NO_COLOR": "1"})


def write(folder: Path, ratings: str = RATINGS) -> Path:
    (folder / "movies.csv").write_text(MOVIES)
    (folder / "ratings.csv").write_text(ratings)
    return folder


def test_check_says_what_is_in_the_data(tmp_path: Path) -> None:
    result = run("check", write(tmp_path))
    assert result.exit_code == 0
    for fact in ("200 (50.00% of all pairs), 2020-01-01 to 2020-01-01", "genres 100.0%", "poster 0.0%", "fingerprint"):
        assert fact in result.output


def test_check_counts_what_was_left_out(tmp_path: Path) -> None:
    result = run("check", write(tmp_path, RATINGS + "7,10,9.5,1577836800\n"))
    assert result.exit_code == 0
    assert "1 with a rating outside 0.5 to 5 (line 202: '9.5')" in result.output


def test_check_ends_with_status_1_and_the_reason(tmp_path: Path) -> None:
    result = run("check", write(tmp_path, RATINGS + "7,10,9.5,1577836800\n" * 3))
    assert result.exit_code == 1
    assert "TooManyDroppedRows: ratings.csv: 3 of 203 rows cannot be used (1.48%), the limit is 1.00%" in result.output


def test_check_takes_another_limit(tmp_path: Path) -> None:
    write(tmp_path, RATINGS + "7,10,9.5,1577836800\n" * 3)
    assert run("check", tmp_path, "--max-dropped-ratio", "0.02").exit_code == 0


def test_sample_writes_a_folder_that_check_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sample import folder as sample_folder
    from sample.films import sample_films

    few = sample_films()[:40]
    monkeypatch.setattr(sample_folder, "sample_films", lambda: few)
    written = run("sample", "--out", tmp_path / "sample", "--people", "25")
    assert written.exit_code == 0
    assert "25 simulated people" in written.output
    checked = run("check", tmp_path / "sample")
    assert checked.exit_code == 0
    assert "25 (simulated)" in checked.output


def test_sample_refuses_a_folder_in_use(tmp_path: Path) -> None:
    result = run("sample", "--out", write(tmp_path))
    assert result.exit_code == 1
    assert "FolderInUse" in result.output


def test_download_leaves_a_zip_alone_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ml-100k/README", "")
    (tmp_path / "data" / "ml-100k.zip").write_bytes(stream.getvalue())
    result = run("download", "ml-100k", "--home", tmp_path)
    assert result.exit_code == 0
    assert "is there already" in result.output


def test_download_says_why_it_failed(tmp_path: Path) -> None:
    result = run("download", "ml-100k", "--home", tmp_path, "--base-url", "http://127.0.0.1:1/")
    assert result.exit_code == 1
    assert "TransferFailed: could not fetch http://127.0.0.1:1/ml-100k.zip.md5" in result.output


@pytest.mark.parametrize(
    ("command", "lesson"),
    [
        ("sample", "SIMULATED people"),
        ("download", "The next run continues a broken transfer"),
        ("check", "Ends with status 1"),
    ],
)
def test_every_command_teaches(command: str, lesson: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert lesson in result.output
