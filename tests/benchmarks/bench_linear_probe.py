"""The linear probe against scikit-learn on the same regularisation path: objectives, choice, time.

    python tests/benchmarks/bench_linear_probe.py --samples 2000 --dim 256 --c-count 12
    python tests/benchmarks/bench_linear_probe.py --features run.npz --samples 10000 --dim 512 --c-count 45

Features come from an .npz with `x` (N, D) and `y` (N,), or else from a convolution with random weights
on CIFAR-100 in WORKBOOK_DATA. Both solvers get the same standardised float64 training part.
"""

import argparse
import time
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from workbook.data import load_images, load_manifest
from workbook.errors import MissingDataError
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.evaluation.logistic import regularisation_path


def main() -> None:
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    x, y = load(args)
    order = np.random.default_rng(0).permutation(len(y))[: args.samples + args.samples // 4]
    x, y = x[order], np.unique(y[order], return_inverse=True)[1]
    classes = int(y.max()) + 1
    y_train = y[: args.samples]
    if len(np.unique(y_train)) < classes:
        raise SystemExit("a class has no training sample: raise --samples or lower --classes")
    mean, std = x[: args.samples].mean(0), x[: args.samples].std(0)
    x = (x - mean) / np.where(std > 0, std, np.inf)
    train, held_out = x[: args.samples], x[args.samples :]
    c_values = np.logspace(-6, 5, args.c_count)
    print(f"N {len(train)}  D {x.shape[1]}  K {classes}  held out {len(held_out)}  C {len(c_values)}")

    paths = {
        "ours": path_of_workbook(train, y_train, c_values, classes),
        "sklearn": path_of_sklearn(train, y_train, c_values, args.sklearn_tolerance),
    }
    rows = {}
    for name, path in paths.items():
        rows[name] = follow(path, train, y_train, held_out, y[args.samples :], c_values)
        print(f"{name}: {sum(row[2] for row in rows[name]):.1f} s", flush=True)
    report(c_values, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", help=".npz with x and y")
    parser.add_argument("--samples", type=int, default=1000, help="N of the training part; a quarter is added")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--c-count", type=int, default=len(ProbeRecipe().c_values))
    parser.add_argument("--sklearn-tolerance", type=float, default=1e-7)
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its default")
    return parser.parse_args()


def load(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    if args.features:
        with np.load(args.features) as file:
            x, y = file["x"][:, : args.dim].astype(np.float64), file["y"]
    else:
        try:
            images = load_images(load_manifest("cifar100"), "train")
        except MissingDataError as error:
            print(f"skipped: {error}")
            raise SystemExit(0) from error
        images = images.only_classes(images.class_names[: args.classes])
        images = images.per_class(-(-2 * args.samples // args.classes))
        x, y = random_convolution(images.tensor(32), args.dim), images.labels
    keep = y < args.classes
    return x[keep], y[keep]


@torch.no_grad()
def random_convolution(pixels: Tensor, dim: int) -> np.ndarray:
    """Features of an untrained net: skewed and correlated, as those of trained ones are."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 32, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(32, dim, 3, 2, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
    features = [net(batch.float() / 127.5 - 1) for batch in pixels.split(256)]
    return torch.cat(features).double().numpy()


def path_of_workbook(x: np.ndarray, y: np.ndarray, c_values: np.ndarray, classes: int) -> Iterator[np.ndarray]:
    features, labels = torch.from_numpy(x), torch.from_numpy(y)
    for weights in regularisation_path(features, labels, c_values, num_classes=classes):
        yield weights.numpy()


def path_of_sklearn(x: np.ndarray, y: np.ndarray, c_values: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    model = LogisticRegression(tol=tolerance, max_iter=100_000, warm_start=True)
    for c in c_values:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.set_params(C=c).fit(x, y)
        yield np.concatenate([model.coef_.T, model.intercept_[None]])


def follow(path, x, y, held_out, held_out_y, c_values) -> list[tuple[float, float, float]]:
    """One row a C: objective, accuracy on the held-out part in percent, seconds."""
    rows = []
    before = time.perf_counter()
    for c, weights in zip(c_values, path, strict=True):
        seconds = time.perf_counter() - before
        logits = torch.from_numpy(x @ weights[:-1] + weights[-1])
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="sum")
        objective = float(c * loss) + 0.5 * float((weights[:-1] ** 2).sum())
        predicted = (held_out @ weights[:-1] + weights[-1]).argmax(1)
        rows.append((objective, 100 * float((predicted == held_out_y).mean()), seconds))
        before = time.perf_counter()
    return rows


def report(c_values: np.ndarray, rows: dict[str, list[tuple[float, float, float]]]) -> None:
    print(f"{'C':>9} {'objective':>13} {'above':>9} {'val %':>7} {'sklearn':>7} {'s':>7} {'sklearn':>7}")
    for c, mine, theirs in zip(c_values, rows["ours"], rows["sklearn"], strict=True):
        above = mine[0] / theirs[0] - 1
        scores = f"{mine[1]:7.2f} {theirs[1]:7.2f} {mine[2]:7.2f} {theirs[2]:7.2f}"
        print(f"{c:9.1e} {mine[0]:13.6e} {above:+9.1e} {scores}")
    for name, path in rows.items():
        best = int(np.argmax([row[1] for row in path]))
        print(f"{name}: C {c_values[best]:.1e}, {path[best][1]:.2f} %, {sum(row[2] for row in path):.1f} s")
    worst = max(m[0] / t[0] - 1 for m, t in zip(rows["ours"], rows["sklearn"], strict=True))
    ratio = sum(row[2] for row in rows["sklearn"]) / sum(row[2] for row in rows["ours"])
    print(f"objective at most {worst:+.1e} above scikit-learn's; {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
