"""Weight diversity against scipy's own clustering of the same matrices, and the time that a whole model takes.

    python tests/benchmarks/bench_diversity.py [--quick]

Prints a Markdown table. Weights are freshly initialised: the time depends on shapes. Both sides of a ratio run one
after the other in this process, with the same number of threads.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import timm
import torch
from scipy.cluster.hierarchy import linkage

from workbook.metrics import cluster_diversity, model_diversity, spectral_diversity, weight_features

MODELS = ("resnet50", "vit_base_patch16_224")
QUICK = ("resnet18", "vit_tiny_patch16_224")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small models, to see that it runs")
    names = QUICK if parser.parse_args().quick else MODELS
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| model | layers | matrices | cluster (s) | scipy (s) | ratio | difference | spectral (s) | both (s) |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in names:
        model = timm.create_model(name)
        layers = weight_features(model)
        matrices = [matrix for found in layers.values() for matrix in found]
        ours, seconds = timed(lambda matrices=matrices: [cluster_diversity(matrix) for matrix in matrices])
        theirs, other = timed(lambda matrices=matrices: [by_scipy(matrix) for matrix in matrices], runs=1)
        _, spectral = timed(lambda matrices=matrices: [spectral_diversity(matrix) for matrix in matrices])
        _, both = timed(lambda model=model: model_diversity(model))
        difference = np.abs(np.subtract(ours, theirs)).max()
        print(
            f"| {name} | {len(layers)} | {len(matrices)} | {seconds:.2f} | {other:.2f} | {other / seconds:.1f} "
            f"| {difference:.0e} | {spectral:.2f} | {both:.2f} |"
        )


def by_scipy(matrix: torch.Tensor) -> float:
    """The same area from scipy's pairwise distances and its linkage."""
    merged = 1 - linkage(matrix.double().numpy(), "average", "cosine")[:, 2] if len(matrix) > 1 else np.empty(0)
    return 1 - merged.clip(0, 1).sum() / len(matrix)


def timed(function: Callable, runs: int = 3) -> tuple[object, float]:
    """The result and the best of `runs` times, in seconds."""
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return result, best


if __name__ == "__main__":
    main()
