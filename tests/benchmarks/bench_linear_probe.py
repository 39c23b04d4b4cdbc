"""The linear probe against scikit-learn on the same regularisation path: objectives, choice, time.

    python tests/benchmarks/bench_linear_probe.py
    python tests/benchmarks/bench_linear_probe.py --samples 10000 --dim 512 --classes 100 --c-count 45

Features are the pooled ones of the newest run of the store (WORKBOOK_STORE) that was pretrained with labels on
CIFAR-100, of its training images (WORKBOOK_DATA), or `x` (N, D) and `y` (N,) of an .npz. Where there is neither, a
convolution with random weights takes the run's place, and the output says so. Both solvers get the same standardised
float64 training part and the same threads. Their objectives are compared both ways: where scikit-learn's lies above
ours, its tolerance was too loose, and it was given less work than ours. To the optimum it takes the better part of an
hour at the larger size; so it is also started at our solutions, for a few steps, to see whether it gets below them.
"""

import workbook  # noqa: F401  # before torch: it keeps OpenMP's threads from spinning while another process runs

# isort: split
import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from workbook.data import load_images, load_manifest
from workbook.data.batches import plain_batches
from workbook.data.images import Images
from workbook.errors import MissingDataError
from workbook.evaluation.scoring import open_model
from workbook.pretraining.names import recipe_name
from workbook.probes.linear import ProbeRecipe
from workbook.probes.logistic import regularisation_path
from workbook.store import Store

FURTHER_STEPS = 50


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
    held_out_y = y[args.samples :]
    rows = {name: follow(name, path, train, y_train, held_out, held_out_y, c_values) for name, path in paths.items()}
    report(c_values, rows)
    further = path_of_sklearn(train, y_train, c_values, 0.0, [row.weights for row in rows["ours"]])
    report_further(c_values, rows["ours"], follow("further", further, train, y_train, held_out, held_out_y, c_values))


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
    """Pooled features (N, D) of the last SL run of the store that started at random; None where it has none."""
    store = Store()
    recipes = [(run, run.spec["recipe"]) for run in store.artefacts() if run.path.parent.name == "runs"]
    labelled = [(run, recipe) for run, recipe in recipes if recipe_name(recipe) == "SL"]
    found = [run for run, recipe in labelled if recipe["dataset"] == "cifar100" and not recipe.get("start")]
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


def path_of_sklearn(
    x: np.ndarray, y: np.ndarray, c_values: np.ndarray, tolerance: float, starts: Sequence[np.ndarray] = ()
) -> Iterator[np.ndarray]:
    """Each fit starts where the one before ended, or takes FURTHER_STEPS steps from its own of `starts`."""
    model = LogisticRegression(tol=tolerance, max_iter=FURTHER_STEPS if starts else 100_000, warm_start=True)
    for number, c in enumerate(c_values):
        if starts:
            model.coef_, model.intercept_ = starts[number][:-1].T.copy(), starts[number][-1].copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.set_params(C=c).fit(x, y)
        yield np.concatenate([model.coef_.T, model.intercept_[None]])


class Row(NamedTuple):
    """What came out at one C."""

    objective: float
    accuracy: float  # on the held-out part, percent
    seconds: float
    weights: np.ndarray  # (D + 1, K), the bias last


def follow(name, path, x, y, held_out, held_out_y, c_values) -> list[Row]:
    rows: list[Row] = []
    before = time.perf_counter()
    for c, weights in zip(c_values, path, strict=True):
        seconds = time.perf_counter() - before
        logits = torch.from_numpy(x @ weights[:-1] + weights[-1])
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="sum")
        objective = float(c * loss) + 0.5 * float((weights[:-1] ** 2).sum())
        predicted = (held_out @ weights[:-1] + weights[-1]).argmax(1)
        rows.append(Row(objective, 100 * float((predicted == held_out_y).mean()), seconds, weights))
        print(f"{name}: C {c:.1e}, {seconds:.1f} s, together {sum(row.seconds for row in rows):.1f} s", flush=True)
        before = time.perf_counter()
    return rows


def report(c_values: np.ndarray, rows: dict[str, list[Row]]) -> None:
    print(f"{'C':>9} {'objective':>13} {'above':>9} {'val %':>7} {'sklearn':>7} {'s':>7} {'sklearn':>7}")
    pairs = list(zip(rows["ours"], rows["sklearn"], strict=True))
    for c, (mine, theirs) in zip(c_values, pairs, strict=True):
        above = mine.objective / theirs.objective - 1
        scores = f"{mine.accuracy:7.2f} {theirs.accuracy:7.2f} {mine.seconds:7.2f} {theirs.seconds:7.2f}"
        print(f"{c:9.1e} {mine.objective:13.6e} {above:+9.1e} {scores}")
    report_choice(c_values, rows)
    above = max(mine.objective / theirs.objective for mine, theirs in pairs) - 1
    loosest = max(theirs.objective / mine.objective for mine, theirs in pairs) - 1
    print(f"objective at most {above:+.1e} above scikit-learn's")
    print(f"scikit-learn's at most {loosest:+.1e} above ours{': lower --sklearn-tolerance' if loosest > 1e-4 else ''}")
    print(f"{sum(theirs.seconds for _, theirs in pairs) / sum(mine.seconds for mine, _ in pairs):.1f} times as fast")


def report_choice(c_values: np.ndarray, rows: dict[str, list[Row]]) -> None:
    best = {name: max(range(len(path)), key=lambda at: path[at].accuracy) for name, path in rows.items()}
    for name, path in rows.items():
        seconds = sum(row.seconds for row in path)
        print(f"{name}: C {c_values[best[name]]:.1e}, {path[best[name]].accuracy:.2f} %, {seconds:.1f} s")
    equal = len(set(best.values())) == 1 or len({rows[name][at].accuracy for name, at in best.items()}) == 1
    print(f"the same C, or another of the same accuracy: {'yes' if equal else 'no'}")


def report_further(c_values: np.ndarray, ours: list[Row], further: list[Row]) -> None:
    lowered = max(mine.objective / theirs.objective for mine, theirs in zip(ours, further, strict=True)) - 1
    print(f"{FURTHER_STEPS} steps of scikit-learn from our solutions get at most {lowered:.1e} below them")
    report_choice(c_values, {"ours": ours, "further": further})


if __name__ == "__main__":
    main()
