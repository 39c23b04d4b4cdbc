"""Few-shot episodes all at once against scikit-learn's LogisticRegression episode by episode: accuracies and time.

    python tests/benchmarks/bench_few_shot.py [--episodes 60] [--dims 1024] [--threads 2]

Prints a Markdown table. Features are those of random classes, made by the script: the time depends on shapes, and a
little on how hard the classes are. Both sides read the same float32 array, draw the same episodes, scale the features
to length 1 and run with the same number of threads. scikit-learn's tolerance is 1e-6: at its default of 1e-4 a tenth of
the episodes differ from the optimum in a prediction.
"""

import workbook  # noqa: F401  # before torch: it keeps OpenMP's threads from spinning while another process runs

# isort: split
import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from workbook.probes.few_shot import CLASSIFIERS, FewShotRecipe, draw_episodes, few_shot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=FewShotRecipe().episodes)
    parser.add_argument("--dims", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--threads", type=int, default=0, help="of both sides; 0 leaves the default")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
        threadpool_limits(args.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {args.episodes} episodes\n")
    print("| D | classifier | seconds | scikit-learn (s) | ratio | accuracy | scikit-learn | episodes that differ |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for dim in args.dims:
        x, y = random_classes(args.images, dim, args.classes)
        for classifier in CLASSIFIERS:
            recipe = FewShotRecipe(episodes=args.episodes, classifier=classifier)
            seconds, ours = min((timed(few_shot, x, y, recipe) for _ in range(3)), key=lambda run: run[0])
            row = f"| {dim} | {classifier} | {seconds:.2f} |"
            if classifier == "centroid":
                print(f"{row} | | {ours.accuracy:.2f} | | |", flush=True)
                continue
            slower, theirs = timed(by_scikit_learn, x, y, recipe)
            differ = int((np.abs(np.subtract(ours.episodes, theirs)) > 1e-9).sum())
            ratio = f"{slower:.2f} | {slower / seconds:.1f}"
            print(f"{row} {ratio} | {ours.accuracy:.2f} | {np.mean(theirs):.2f} | {differ} |", flush=True)


def random_classes(images: int, dim: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Skewed and positive, as pooled features after a ReLU are."""
    rng = np.random.default_rng(0)
    y = np.arange(images) % classes
    x = rng.normal(size=(images, dim)) + 0.2 * rng.normal(size=(classes, dim))[y]
    return np.maximum(x, 0).astype(np.float32), y


def by_scikit_learn(x: np.ndarray, y: np.ndarray, recipe: FewShotRecipe) -> list[float]:
    """Accuracy of every episode in percent."""
    support = np.repeat(np.arange(recipe.ways), recipe.shots)
    query = np.repeat(np.arange(recipe.ways), recipe.queries)
    accuracies = []
    for rows in draw_episodes(x, y, recipe):
        block = x[rows.ravel()].astype(np.float64)
        block = (block / np.linalg.norm(block, axis=1, keepdims=True)).reshape(*rows.shape, -1)
        model = LogisticRegression(C=recipe.c, tol=1e-6, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(block[:, : recipe.shots].reshape(len(support), -1), support)
        accuracies.append(100 * model.score(block[:, recipe.shots :].reshape(len(query), -1), query))
    return accuracies


def timed(function, *arguments) -> tuple[float, object]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
