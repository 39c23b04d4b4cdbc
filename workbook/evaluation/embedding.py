"""Maps of features in the plane: t-SNE, UMAP or PCA, the checkpoints of one run from a shared start."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from workbook.evaluation.extraction import Features
from workbook.files import write_array
from workbook.progress import progress_bar
from workbook.store import Store

# Part of the key of all maps. Raise it when a change of the code alters one.
EMBEDDING_VERSION = 1
KINDS = ("t-SNE", "UMAP", "PCA")
# Of the largest feature: what varies less is what single precision leaves of a constant.
_NO_VARIATION = 1e-6


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """How features are laid out in the plane. The paper says "t-SNE" and no more: the values are ours."""

    kind: str = "t-SNE"
    perplexity: float = 30.0  # of t-SNE; UMAP's number of neighbours
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.perplexity >= 2:
            raise ValueError(f"perplexity must be at least 2, got {self.perplexity}")


def embed_epochs(epochs: Sequence[tuple[int, Features]], embedding: Embedding, store: Store) -> pd.DataFrame:
    """The pooled features of one set of images at several epochs, in the plane.

    Columns: epoch, image (index into the set), label, x, y. The last epoch starts from its principal components,
    every earlier one from the map of the epoch after it: points keep their places as far as their neighbours
    let them, so that the eye can follow a class. Stored. An epoch whose features are all the same has no map: its x
    and y are NaN, nothing is stored, and the others are laid out as if it were not there.
    """
    later: np.ndarray | None = None
    tables, started_from = [], None
    with progress_bar("maps", len(epochs), unit="maps") as bar:
        for epoch, features in sorted(epochs, key=lambda pair: pair[0], reverse=True):
            bar.set_description_str(f"{embedding.kind} of {len(features.labels)} images, epoch {epoch}", refresh=False)
            spec: dict[str, Any] = {"features": features.key, "embedding": asdict(embedding)}
            spec |= {"start": started_from, "version": EMBEDDING_VERSION}

            def make(folder: Path, features: Features = features, start: np.ndarray | None = later) -> None:
                write_array(folder / "map.npy", embed(features.layer("pooled"), embedding, start))

            place = np.full((len(features.labels), 2), np.nan, dtype=np.float32)
            artefact = store.find("maps", spec)  # then nobody asks for the features
            if artefact is None and has_map(features.layer("pooled")):
                artefact = store.get_or_make("maps", spec, make, ["map.npy"])
            if artefact is not None:
                later, started_from = np.load(artefact.file("map.npy")), artefact.key
                place = later
            table = pd.DataFrame(place, columns=["x", "y"])
            tables.append(table.assign(epoch=epoch, image=np.arange(len(place)), label=features.labels))
            bar.update()
    return pd.concat(tables[::-1], ignore_index=True)[["epoch", "image", "label", "x", "y"]]


def has_map(features: np.ndarray) -> bool:
    """Whether the features (N, D) vary: where all are the same point, as of a collapsed model, there is none."""
    return not np.ptp(features, axis=0).max() <= _NO_VARIATION * np.abs(features).max()


def embed(features: np.ndarray, embedding: Embedding, start: np.ndarray | None = None) -> np.ndarray:
    """(N, D) to (N, 2) float32, the same every time; `start` (N, 2) is where the points begin.

    Raises ValueError for features that are not finite, that do not vary, are too few, or too large for a map.
    """
    x = np.asarray(features, dtype=np.float32)
    if not np.isfinite(x).all():
        raise ValueError(f"features must be finite, got {np.count_nonzero(~np.isfinite(x))} values that are not")
    if not has_map(x):
        raise ValueError(f"the features of all {len(x)} images are the same, and have no map")
    if len(x) < 3 * embedding.perplexity + 1 and embedding.kind == "t-SNE":
        raise ValueError(f"t-SNE of perplexity {embedding.perplexity} takes more than {len(x)} points")
    points = _laid_out(x, embedding, start)
    if not np.isfinite(points).all():
        raise ValueError(f"features of up to {np.abs(x).max():.1g} have no finite map: scale them")
    return points


def _laid_out(x: np.ndarray, embedding: Embedding, start: np.ndarray | None) -> np.ndarray:
    if start is None or embedding.kind == "PCA":
        start = PCA(2, svd_solver="full").fit_transform(x)
    if embedding.kind == "PCA":
        return start.astype(np.float32)
    small = start / start.std(axis=0)[0]
    if embedding.kind == "UMAP":
        threads = torch.get_num_threads()
        import umap  # here: what it needs takes seconds to load

        points = umap.UMAP(
            int(embedding.perplexity), init=10 * small, n_jobs=1, random_state=embedding.seed
        ).fit_transform(x)
        torch.set_num_threads(threads)  # numba takes all cores for the process: what is trained next would differ
        return points.astype(np.float32)
    import openTSNE  # here: half a second

    gradient = "bh" if len(x) < 10_000 else "fft"
    how = {"perplexity": embedding.perplexity, "initialization": 1e-4 * small, "negative_gradient_method": gradient}
    return np.asarray(openTSNE.TSNE(**how, random_state=embedding.seed).fit(x), dtype=np.float32)


def turned_onto(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The map (N, 2), centred and turned or mirrored so that it lies as near to `reference` (N, 2) as that allows.

    The orthogonal Procrustes problem: distances within the map stay as they are. What a map's axes are is left open
    by t-SNE and UMAP, and the signs of principal components are chance.
    """
    centred = points - points.mean(axis=0)
    left, _, right = np.linalg.svd(centred.T @ (reference - reference.mean(axis=0)))
    return centred @ (left @ right)
