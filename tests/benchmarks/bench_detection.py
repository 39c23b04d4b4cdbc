"""A detector's training and detection in images a second, and what the evaluation of 5,000 images takes.

    python tests/benchmarks/bench_detection.py [--quick]

Prints two Markdown tables. Scenes are generated, of 64 pixels; the evaluated ones are of 480 x 640 with 7 objects and
40 detections each, boxes and masks. pycocotools evaluates the same detections in this process, a part of them.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from workbook.detection.average_precision import average_precision
from workbook.detection.detector import SMALL
from workbook.detection.generated import generated_scenes
from workbook.detection.runs import Runs
from workbook.detection.scenes import Found, Objects, Scenes, tight_boxes
from workbook.detection.training import DetectionRecipe, detect, train_detector
from workbook.devices import make_fabric
from workbook.lab import Lab
from workbook.models.checkpoints import from_timm
from workbook.store import Store

HEIGHT, WIDTH, CLASSES = 480, 640, 80
DRAWN = 50  # different images, which are evaluated again and again
THERE, FOUND = 7, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images, to see that it runs")
    quick = parser.parse_args().quick
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    speeds(steps=4 if quick else 100, scenes=16 if quick else 400)
    evaluation(images=50 if quick else 5000, compared=20 if quick else 500)


def speeds(steps: int, scenes: int) -> None:
    fabric = make_fabric()
    source = from_timm("narrow_resnet", pretrained=False, image_size=64, small_stem=True)
    recipe = DetectionRecipe(size=SMALL, steps=steps, warmup_steps=2, precise_steps=2)
    train, test = generated_scenes("train", scenes), generated_scenes("test", scenes)
    with tempfile.TemporaryDirectory() as folder:
        detector = train_detector(recipe, source, train, Lab(Store(Path(folder)), fabric))
        history, model = detector.history, detector.model()
    started = time.perf_counter()
    detect(model, test, fabric)
    seconds = time.perf_counter() - started
    print("| on | training (images/s) | detection (images/s) |\n|---|---:|---:|")
    print(f"| {fabric.device} | {history['images_per_second'].median():.1f} | {len(test) / seconds:.1f} |\n")


def evaluation(images: int, compared: int) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.detection.test_average_precision import by_pycocotools

    stream = np.random.default_rng(0)
    there = [objects(stream) for _ in range(DRAWN)]
    found = [moved(one, stream) for one in there]
    whole, part = (made(count, there) for count in (images, compared))
    started = time.perf_counter()
    average_precision(whole, (found[number % DRAWN] for number in range(images)))
    seconds = time.perf_counter() - started
    those = [found[number % DRAWN] for number in range(compared)]
    started = time.perf_counter()
    ours = average_precision(part, those)
    ours_seconds = time.perf_counter() - started
    started = time.perf_counter()
    theirs = by_pycocotools(part, those)
    ratio = (time.perf_counter() - started) / ours_seconds
    difference = np.abs(ours.to_numpy() - theirs).max()
    print("| images | boxes and masks (s) | pycocotools, ratio | largest difference of AP |\n|---:|---:|---:|---:|")
    print(f"| {images:,} | {seconds:.1f} | {ratio:.1f} | {difference:.0e} |")


def made(count: int, there: list[Objects]) -> Scenes:
    return Scenes(
        name="made",
        split="test",
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        digest=f"made-{count}",
        ids=tuple(range(count)),
        image_at=lambda index: torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8),
        objects_at=lambda index: there[index % DRAWN],
    )


def objects(stream: np.random.Generator) -> Objects:
    masks = torch.stack([ellipse(stream) for _ in range(THERE)])
    labels = torch.from_numpy(stream.integers(CLASSES, size=THERE))
    areas, crowds = masks.sum((1, 2)).float(), torch.zeros(THERE, dtype=torch.bool)
    return Objects(tight_boxes(masks), labels, Runs.of(masks), areas, crowds)


def ellipse(stream: np.random.Generator) -> torch.Tensor:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    height, width = stream.uniform(10, 150, 2)
    middle = stream.uniform((height, width), (HEIGHT - height, WIDTH - width))
    return torch.from_numpy(((y - middle[0]) / height) ** 2 + ((x - middle[1]) / width) ** 2 < 1)


def moved(one: Objects, stream: np.random.Generator) -> Found:
    """Each object found several times, a little away, under a class that is mostly its own."""
    places = stream.integers(len(one), size=FOUND)
    moves = stream.integers(-25, 26, size=(FOUND, 2))
    masks = torch.stack(
        [one.masks[place].roll((int(dy), int(dx)), (0, 1)) for place, (dy, dx) in zip(places, moves, strict=True)]
    )
    labels = torch.where(
        torch.from_numpy(stream.random(FOUND) < 0.8),
        one.labels[places],
        torch.from_numpy(stream.integers(CLASSES, size=FOUND)),
    )
    return Found(tight_boxes(masks), labels, torch.from_numpy(stream.random(FOUND)), Runs.of(masks))


if __name__ == "__main__":
    main()
