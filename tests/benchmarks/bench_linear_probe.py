"""The linear probe against scikit-learn on the same regularisation path: objectives, choice, time.

    python tests/benchmarks/bench_linear_probe.py
    python tests/benchmarks/bench_linear_probe.py --samples 10000 --dim 512 --classes 100 --c-count 45

Features are the pooled ones of the newest supervised run of the store (WORKBOOK_STORE) on CIFAR-100's training images
(WORKBOOK_DATA), or `x` (N, D) and `y` (N,) of an .npz. Where there is neither, a convolution with random weights takes
the run's place, and the output says so. Both solvers get the same standardised float64 training part and the same
threads. Their objectives are compared both ways: where scikit-learn's lies above ours, its tolerance was too loose, and
it was given less work than ours.
"""

import workbook  # noqa: F401  # before torch: it keeps OpenMP's threads from spinning while another process runs

# isort: split
import argparse
import time
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from workbook.data import load_images, load_manifest
from workbook.data.batches import plain_batches
from workbook.data.images import Images
from workbook.errors import MissingDataError
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.evaluation.logistic import regularisation_path
from workbook.evaluation.scoring import open_model
from workbook.pretraining.methods import recipe_name
from workbook.store import Store


def main() -> None:
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
        threadpool_limits(args.threads)
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
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)

    paths = {
        "ours": path_of_workbook(train, y_train, c_values, classes),
        "sklearn": path_of_sklearn(train, y_train, c_values, args.sklearn_tolerance),
    }
    rows = {}
    for name, path in paths.items():
        rows[name] = follow(name, path, train, y_train, held_out, y[args.samples :], c_values)
    report(c_values, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", help=".npz with x and y")
    parser.add_argument("--samples", type=int, default=1000, help="N of the training part; a quarter is added")
    parser.add_argument("--dim", type=int, default=128, help="the first channels")
    parser.add_argument("--classes", type=int, default=20, help="the first classes")
    parser.add_argument("--c-count", type=int, default=len(ProbeRecipe().c_values))
    parser.add_argument("--sklearn-tolerance", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, default=0, help="of both solvers; 0 leaves the default")
    return parser.parse_args()


def load(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    if args.features:
        with np.load(args.features) as file:
            x, y = file["x"], file["y"]
        return x[y < args.classes, : args.dim].astype(np.float64), y[y < args.classes]
    try:
        images = load_images(load_manifest("cifar100"), "train")
    except MissingDataError as error:
        print(f"skipped: {error}")
        raise SystemExit(0) from error
    images = images.only_classes(images.class_names[: args.classes])
    images = images.per_class(-(-2 * args.samples // args.classes))
    x = of_newest_run(images)
    if x is None:
        print("NOT of a real run: the store has no supervised run; a convolution with random weights instead")
        x = random_convolution(images.tensor(32), args.dim)
    return x[:, : args.dim].astype(np.float64), images.labels


@torch.no_grad()
def of_newest_run(images: Images) -> np.ndarray | None:
    """Pooled features (N, D) of the last supervised run of the store; None where it has none."""
    store = Store()
    found = [a for a in store.artefacts() if a.path.parent.name == "runs" and recipe_name(a.spec["recipe"]) == "SL"]
    if not found:
        return None
    model = open_model(found[-1].key, store)
    print(f"features of {model.name}, SL on {found[-1].spec['recipe']['dataset']}, of {len(images)} images", flush=True)
    batches = plain_batches(images, model.image_size, 256, torch.device("cpu"))
    return torch.cat([model.backbone.stages(batch)[1] for batch, _ in batches]).numpy()


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
    return torch.cat([net(batch.float() / 127.5 - 1) for batch in pixels.split(256)]).numpy()


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


def follow(name, path, x, y, held_out, held_out_y, c_values) -> list[tuple[float, float, float]]:
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
        print(f"{name}: C {c:.1e}, {seconds:.1f} s, together {sum(row[2] for row in rows):.1f} s", flush=True)
        before = time.perf_counter()
    return rows


def report(c_values: np.ndarray, rows: dict[str, list[tuple[float, float, float]]]) -> None:
    print(f"{'C':>9} {'objective':>13} {'above':>9} {'val %':>7} {'sklearn':>7} {'s':>7} {'sklearn':>7}")
    for c, mine, theirs in zip(c_values, rows["ours"], rows["sklearn"], strict=True):
        above = mine[0] / theirs[0] - 1
        scores = f"{mine[1]:7.2f} {theirs[1]:7.2f} {mine[2]:7.2f} {theirs[2]:7.2f}"
        print(f"{c:9.1e} {mine[0]:13.6e} {above:+9.1e} {scores}")
    best = {name: int(np.argmax([row[1] for row in path])) for name, path in rows.items()}
    for name, path in rows.items():
        chosen, seconds = best[name], sum(row[2] for row in path)
        print(f"{name}: C {c_values[chosen]:.1e}, {path[chosen][1]:.2f} %, {seconds:.1f} s")
    pairs = list(zip(rows["ours"], rows["sklearn"], strict=True))
    equal = best["ours"] == best["sklearn"] or rows["ours"][best["ours"]][1] == rows["sklearn"][best["sklearn"]][1]
    print(f"the same C, or another of the same accuracy: {'yes' if equal else 'no'}")
    loosest = max(theirs[0] / mine[0] for mine, theirs in pairs) - 1
    print(f"objective at most {max(mine[0] / theirs[0] for mine, theirs in pairs) - 1:+.1e} above scikit-learn's")
    print(f"scikit-learn's at most {loosest:+.1e} above ours{': lower --sklearn-tolerance' if loosest > 1e-4 else ''}")
    print(f"{sum(theirs[2] for _, theirs in pairs) / sum(mine[2] for mine, _ in pairs):.1f} times as fast")


if __name__ == "__main__":
    main()
