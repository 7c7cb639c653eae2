"""Open Inference Protocol (v2) over HTTP with NVIDIA's own client: text, posters and candidates.

\b
    python clients/v2_http_client.py models
    python clients/v2_http_client.py embed-text "two friends cross the desert"
    python clients/v2_http_client.py embed-image poster.jpg
    python clients/v2_http_client.py candidates --rows 3,14,15 --top-k 5

The same calls work against a real tritonserver that serves the same model repository. A Marquee that asks who is
calling wants --api-key, or MARQUEE_API_KEY in the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import tritonclient.http as triton
import typer
from rich.console import Console
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

HISTORY_LENGTH = 50
"""T of the released models: histories are padded on the right to this many films."""


class V2HttpClient:
    """Marquee's models by name, over one HTTP connection; use it as a context manager.

    Raises InferenceServerException with the server's status and words.
    """

    def __init__(self, url: str = "127.0.0.1:3000", api_key: str = "") -> None:
        self._triton = triton.InferenceServerClient(url)
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}

    def __enter__(self) -> V2HttpClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._triton.close()

    def models(self) -> list[dict[str, str]]:
        """Name, version and state of every model in the repository."""
        index: list[dict[str, str]] = self._triton.get_model_repository_index(headers=self._headers)
        return index

    def embed_text(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """(B, 384) unit vectors of B texts."""
        rows = np.array([[text.encode()] for text in texts], dtype=np.object_)
        return self.infer("text_embedding", {"TEXT": rows}, "embedding")

    def embed_images(self, images: list[bytes]) -> npt.NDArray[np.float32]:
        """(B, 2048) unit vectors of B encoded images (JPEG, PNG, ...)."""
        rows = np.array([[image] for image in images], dtype=np.object_)
        return self.infer("image_embedding", {"IMAGE": rows}, "embedding")

    def candidates(self, item_rows: list[int], top_k: int, weights: list[float]) -> npt.NDArray[np.int64]:
        """(top_k,) catalogue rows for one history of catalogue rows, oldest first, watched but not rated."""
        history = np.zeros((1, HISTORY_LENGTH), dtype=np.int64)
        recent = np.array(item_rows[-HISTORY_LENGTH:], dtype=np.int64)
        history[0, : len(recent)] = recent + 1
        nothing = np.zeros((1, HISTORY_LENGTH), dtype=np.float32)
        inputs: dict[str, npt.NDArray[Any]] = {
            "history": history,
            "ratings": nothing,
            "age_days": nothing,
            "weights": np.array([weights], dtype=np.float32),
            "top_k": np.array([[top_k]], dtype=np.int32),
        }
        return self.infer("hybrid_candidates", inputs, "rows")[0]

    def infer(self, model: str, inputs: dict[str, npt.NDArray[Any]], output: str) -> npt.NDArray[Any]:
        """One inference; tensors travel in the binary extension."""
        tensors = []
        for name, array in inputs.items():
            tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        wanted = [triton.InferRequestedOutput(output)]
        answer = self._triton.infer(model, tensors, outputs=wanted, headers=self._headers)
        result: npt.NDArray[Any] = answer.as_numpy(output)
        return result


app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode=None)
Url = Annotated[str, typer.Option(help="host:port of the v2 HTTP endpoint.")]
ApiKey = Annotated[str, typer.Option(envvar="MARQUEE_API_KEY", help="API key or token, where the server asks for one.")]


@app.command()
def models(url: Url = "127.0.0.1:3000", api_key: ApiKey = "") -> None:
    """List the models of the server's repository."""
    with V2HttpClient(url, api_key) as client:
        Console().print_json(data=client.models())


@app.command()
def embed_text(text: str, url: Url = "127.0.0.1:3000", api_key: ApiKey = "") -> None:
    """Print the first numbers of a text's embedding."""
    with V2HttpClient(url, api_key) as client:
        vector = client.embed_text([text])[0]
    Console().print(f"{vector.shape[0]} numbers: {vector[:8].astype(float).round(4).tolist()} ...")


@app.command()
def embed_image(path: Path, url: Url = "127.0.0.1:3000", api_key: ApiKey = "") -> None:
    """Print the first numbers of a picture's embedding."""
    with V2HttpClient(url, api_key) as client:
        vector = client.embed_images([path.read_bytes()])[0]
    Console().print(f"{vector.shape[0]} numbers: {vector[:8].astype(float).round(4).tolist()} ...")


@app.command()
def candidates(
    rows: Annotated[str, typer.Option(help="Catalogue rows, oldest first: 3,14,15")],
    top_k: Annotated[int, typer.Option(help="How many candidates.")] = 10,
    weights: Annotated[str, typer.Option(help="One weight per source, in the release's order.")] = "1,1,1,1,1,1,1",
    url: Url = "127.0.0.1:3000",
    api_key: ApiKey = "",
) -> None:
    """Print the catalogue rows of the hybrid's candidates, best first."""
    with V2HttpClient(url, api_key) as client:
        found = client.candidates([int(row) for row in rows.split(",")], top_k, [float(w) for w in weights.split(",")])
    Console().print(found.tolist())


def main() -> None:
    """Run the command line; a refused or unreachable server ends it with one line and exit code 1."""
    try:
        app()
    except (InferenceServerException, OSError) as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
