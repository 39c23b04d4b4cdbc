"""Whether a detector learns a few images of COCO by heart, from random weights: AP over the steps, and no claim.

    python tests/benchmarks/learn_coco.py FOLDER

FOLDER holds train2017 and annotations/instances_train2017.json, the whole of COCO or a part of it; its first 16 images
with an object are learned, at a shorter side of 192 pixels, in three quarters of an hour of one CPU core. AP is
class-agnostic. Prints a Markdown table.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from workbook.detection.average_precision import average_precision
from workbook.detection.coco import coco_scenes
from workbook.detection.detector import SMALL
from workbook.detection.training import DetectionRecipe, detect, train_detector
from workbook.devices import make_fabric
from workbook.lab import Lab
from workbook.models.checkpoints import from_timm
from workbook.store import Store

IMAGES = 16
SIZE = replace(
    SMALL,
    sides=(192,),
    longest=272,
    anchor=4.0,
    candidates=300,
    proposals=150,
    anchors_drawn=128,
    boxes_drawn=96,
    mask_layers=1,
)
RECIPE = DetectionRecipe(
    size=SIZE,
    steps=1500,
    batch_size=4,
    lr=0.16,
    drops=(0.75, 0.9),
    warmup_steps=100,
    precise_steps=8,
    checkpoint_steps=(400, 800, 1100),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    scenes = coco_scenes(folder / "train2017", folder / "annotations" / "instances_train2017.json").annotated()
    scenes, fabric = scenes.select(range(IMAGES)), make_fabric()
    torch.manual_seed(0)
    source = from_timm("resnet18", pretrained=False, image_size=256)
    with tempfile.TemporaryDirectory() as store:
        detector = train_detector(RECIPE, source, scenes, Lab(Store(Path(store)), fabric))
        print("| step | boxes, AP | boxes, AP50 | masks, AP | masks, AP50 |\n|---:|---:|---:|---:|---:|")
        for step in RECIPE.kept_steps:
            table = average_precision(scenes, detect(detector.model(step), scenes, fabric), class_agnostic=True)
            cells = [f"{table.at[target, name]:.1f}" for target in ("box", "mask") for name in ("AP", "AP50")]
            print(f"| {step} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
