"""The feature metrics against what one would use without them, their growth with N, and their peak memory.

    python tests/benchmarks/bench_metrics.py [--quick]

Prints Markdown tables. Both sides of a ratio run one after the other in this process, on the same data, with the
same number of threads. Minibatch CKA is compared with torch_cka, which is not among the workbook's requirements:

    pip install torch_cka matplotlib

The largest case is a file of 5.2 GB in the system's temporary folder (TMPDIR), removed at the end.
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import silhouette_score
from torch import Tensor, nn

from workbook import metrics

# 17 layers: the stem and the 16 blocks of a ResNet-50, pooled
CKA_DIMS = (64, *(256,) * 3, *(512,) * 4, *(1024,) * 6, *(2048,) * 3)
STREAMED = {
    "phi": metrics.discriminative_ratio,
    "V_intra": metrics.intra_class_variance,
    "S_inter": metrics.inter_class_separation,
    "R": lambda features, labels: metrics.feature_redundancy(features),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--of", type=int, nargs=2, metavar=("ROWS", "DIM"), help="another size of the largest case")
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)  # what the subprocess below is called with
    args = parser.parse_args()
    if args.peak_of:
        print(json.dumps(peak_of(args.peak_of)))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads{', --quick' if args.quick else ''}\n")
    # first: a process's peak starts from that of the one that starts it
    peak_memory(*(args.of or ((20_000, 256) if args.quick else (1_281_167, 2048))))
    ratios(*((2000, 64, 20) if args.quick else (10_000, 512, 100)), batches=1 if args.quick else 4)
    growth((1000, 10_000) if args.quick else (1000, 10_000, 100_000, 1_000_000))


def ratios(rows: int, dim: int, classes: int, batches: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(rows) % classes)
    features = (rng.normal(size=(classes, dim))[labels] + 2 * rng.normal(size=(rows, dim))).astype(np.float32)
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    print(f"Features {rows} x {dim} float32, {classes} classes; CKA of {len(CKA_DIMS)} x {len(CKA_DIMS)} layers\n")
    print("| metric | against | workbook | other | ratio | difference |\n|---|---|---:|---:|---:|---:|")
    for dtype in (np.float64, np.float32):
        data = features.astype(dtype)
        compare(
            "mean_silhouette",
            f"scikit-learn, {np.dtype(dtype)}",
            lambda data=data: metrics.mean_silhouette(data, labels),
            lambda data=data: silhouette_score(data, labels, metric="cosine"),
        )
    for name, naive in NAIVE.items():
        compare(name, "naive torch, float64", lambda f=STREAMED[name]: f(x, y), lambda f=naive: f(x.double(), y))
    for name, naive in DECOMPOSED.items():
        measure = metrics.MEASURES[name]
        ours = partial(measure.function, x, *(() if measure.needs == "features" else (y,)))
        compare(name, "whole decomposition, float64", ours, lambda f=naive: f(x.double(), y))
    compare_moments(features, labels)
    compare_cka(batches, 600)  # as many samples as in Nayman et al. 2022, App. D


def compare(name: str, against: str, ours: Callable, other: Callable) -> None:
    value, seconds = best_of(ours, 5)
    other_value, other_seconds = best_of(other, 2)
    difference = np.abs(np.asarray(value) - np.asarray(other_value)).max()
    times = f"{1e3 * seconds:.1f} ms | {1e3 * other_seconds:.0f} ms | {other_seconds / seconds:.1f}"
    print(f"| {name} | {against} | {times} | {difference:.1e} |", flush=True)


def compare_moments(features: np.ndarray, labels: np.ndarray) -> None:
    """All measures of second moments from one pass, against each by itself."""
    of_moments = [m for m in metrics.MEASURES.values() if m.reads == "moments" and m.needs != "head"]

    def together() -> list:
        moments = metrics.feature_moments(features, labels)
        return [first_number(measure.function(moments)) for measure in of_moments]

    def alone() -> list:
        given = {"features": (features,), "labels": (features, labels)}
        return [first_number(measure.function(*given[measure.needs])) for measure in of_moments]

    compare(f"{len(of_moments)} of the catalogue", "one by one", together, alone)


def first_number(found: float | dict[str, float]) -> float:
    return next(iter(found.values())) if isinstance(found, dict) else found


def best_of(call: Callable, repeats: int) -> tuple:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = call()
        seconds.append(time.perf_counter() - start)
    return value, min(seconds)


def naive_ratio(x: Tensor, y: Tensor) -> float:
    classes = [x[y == label] for label in y.unique()]
    means = torch.stack([members.mean(0) for members in classes])
    count = len(means)
    inter = (means[:, None] - means[None]).square().sum() / (count * (count - 1))
    widths = [(members - mean).square().sum(1).mean() for members, mean in zip(classes, means, strict=True)]
    return float(inter / torch.stack(widths).mean())


def cosine_distances(x: Tensor) -> Tensor:
    units = nn.functional.normalize(x, dim=1)
    return 1 - units @ units.T


def naive_variance(x: Tensor, y: Tensor) -> float:
    return float(torch.stack([cosine_distances(x[y == label]).mean() for label in y.unique()]).mean())


def naive_separation(x: Tensor, y: Tensor) -> float:
    average = nn.functional.one_hot(y).double()
    average /= average.sum(0)
    return float((average.T @ cosine_distances(x) @ average).mean())


def naive_redundancy(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(x.T).abs().mean())


NAIVE = {"phi": naive_ratio, "V_intra": naive_variance, "S_inter": naive_separation, "R": naive_redundancy}


def naive_rankme(x: Tensor, y: Tensor) -> float:
    singular = torch.linalg.svdvals(x)
    return float(torch.special.entr(singular / singular.sum() + 1e-7).sum().exp())


def naive_effective_rank(x: Tensor, y: Tensor) -> float:
    values = torch.linalg.svdvals(x - x.mean(0)).square()
    return float(torch.special.entr(values / values.sum()).sum().exp())


def naive_h_score(x: Tensor, y: Tensor) -> float:
    means = torch.stack([x[y == label].mean(0) for label in y.unique()])[y]
    return float((torch.linalg.pinv(torch.cov(x.T)) @ torch.cov(means.T)).trace())


def naive_nc1(x: Tensor, y: Tensor) -> float:
    means = torch.stack([x[y == label].mean(0) for label in y.unique()])
    within, apart = x - means[y], means - means.mean(0)
    return float((within.T @ within / len(x) @ torch.linalg.pinv(apart.T @ apart / len(apart))).trace()) / len(apart)


def naive_logme(x: Tensor, y: Tensor) -> float:
    left, singular, _ = torch.linalg.svd(x, full_matrices=False)
    squares, n, evidence = singular.square(), len(x), []
    for label in y.unique():
        target, prior, noise = (y == label).double(), 1.0, 1.0
        along = (left.T @ target).square()
        for _ in range(11):
            ratio = prior / noise
            weights = float((squares * along / (squares + ratio).square()).sum())
            residual = float((along / (1 + squares / ratio).square()).sum() + target.sum() - along.sum())
            fitted = float((squares / (squares + ratio)).sum())
            prior, noise = fitted / (weights + 1e-5), (n - fitted) / (residual + 1e-5)
        logs = len(squares) * np.log(prior) + n * np.log(noise) - float((prior + noise * squares).log().sum())
        evidence.append((logs - noise * residual - prior * weights) / n - np.log(2 * np.pi))
    return float(np.mean(evidence)) / 2


DECOMPOSED = {
    "RankMe": naive_rankme,
    "effective rank": naive_effective_rank,
    "H-score": naive_h_score,
    "NC1": naive_nc1,
    "LogME": naive_logme,
}


class Replay(nn.Module):
    """Stands for a model: gives out stored layers, so that the tool's time is that of its CKA alone."""

    def __init__(self, batches: list[list[Tensor]]) -> None:
        super().__init__()
        self.batches = batches
        self.layers = nn.ModuleList(nn.Identity() for _ in batches[0])

    def forward(self, number: Tensor) -> None:
        for layer, features in zip(self.layers, self.batches[int(number)], strict=True):
            layer(features)


def compare_cka(count: int, n: int) -> None:
    try:
        from torch_cka import CKA
    except ImportError as error:
        print(f"| minibatch_cka | torch_cka | skipped: {error}; pip install torch_cka matplotlib | | | |")
        return
    generator = torch.Generator().manual_seed(0)
    latent = [torch.randn(n, 32, generator=generator) for _ in range(count)]
    sides = []
    for _ in range(2):
        weights = [torch.randn(32, dim, generator=generator) for dim in CKA_DIMS]
        sides.append(
            [[torch.relu(z @ w + torch.randn(n, w.shape[1], generator=generator)) for w in weights] for z in latent]
        )
    names = [f"layers.{i}" for i in range(len(CKA_DIMS))]

    def tool() -> np.ndarray:
        models = [Replay(side) for side in sides]
        cka = CKA(*models, model1_layers=names, model2_layers=names, model1_name="x", model2_name="y")
        cka.compare(torch.utils.data.DataLoader([(number,) for number in range(count)]))
        return cka.export()["CKA"].numpy()

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        warnings.simplefilter("ignore")
        compare(
            "minibatch_cka",
            f"torch_cka, {count} minibatches of {n}",
            lambda: metrics.minibatch_cka_matrix(zip(*sides, strict=True)),
            tool,
        )


def growth(sizes: tuple[int, ...], dim: int = 512, classes: int = 100) -> None:
    print(f"\nTime for N rows of {dim}, float16 memory map, {classes} classes\n")
    print("| metric |" + "".join(f" N = {size:,} |" for size in sizes) + " ns a number at the last |")
    print("|---|" + "---:|" * (len(sizes) + 1))
    calls = STREAMED | {
        "mean_silhouette": metrics.mean_silhouette,
        "Pi": lambda x, y: metrics.feature_mixture(x, y, np.arange(classes) < 30),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        write_random(path, sizes[-1], dim)
        features, labels = np.load(path, mmap_mode="r"), np.arange(sizes[-1]) % classes
        for name, call in calls.items():
            seconds = [
                best_of(lambda f=call, n=n: f(features[:n], labels[:n]), 3 if n <= 100_000 else 1)[1] for n in sizes
            ]
            cells = " | ".join(f"{1e3 * s:.1f} ms" if s < 1 else f"{s:.1f} s" for s in seconds)
            print(f"| {name} | {cells} | {1e9 * seconds[-1] / (sizes[-1] * dim):.1f} |", flush=True)


def peak_memory(rows: int, dim: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        write_random(path, rows, dim)
        command = [sys.executable, __file__, "--peak-of", str(path)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"Peak memory of a {rows:,} x {dim} float16 memory map ({rows * dim * 2 / 1e9:.1f} GB), 1,000 classes\n")
    print("| after | peak, MiB | seconds |\n|---|---:|---:|")
    for name, (peak, seconds) in result.items():
        print(f"| {name} | {peak:.0f} | {seconds:.1f} |")
    print()


def write_random(path: Path, rows: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": (rows, dim)})
        for start in range(0, rows, 4096):
            height = min(4096, rows - start)
            file.write(rng.standard_normal((height, dim), dtype=np.float32).astype(np.float16).tobytes())


def peak_of(path: Path) -> dict[str, tuple[float, float]]:
    """Peak resident memory in MiB of this process after each metric in turn, and the seconds that it took."""
    features = np.load(path, mmap_mode="r")
    labels = np.arange(len(features)) % 1000
    result = {"imports and labels": (peak_mib(), 0.0)}
    whole = {"the one pass of the catalogue": metrics.feature_moments, "the whole catalogue": metrics.measure_all}
    for name, call in (STREAMED | whole).items():
        _, seconds = best_of(lambda call=call: call(features, labels), 1)
        result[name] = (peak_mib(), seconds)
    return result


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
