"""How well detectors find what is there: trained as a whole, and as a light head on a frozen backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from workbook.detection.average_precision import average_precision
from workbook.detection.probe import DetectionProbeRecipe, frozen_probe
from workbook.detection.scenes import Found, Objects, Scenes
from workbook.detection.training import DetectionRecipe, Detector, detect, train_detector
from workbook.lab import Lab
from workbook.models.pretrained import Pretrained

Backbones = Mapping[tuple[str, int], Pretrained]  # method and seed -> the backbone that it ended with

# Part of the key of every AP that this module stores. Raise it when a change of the code alters one.
DETECTION_VERSION = 1


def train_detectors(
    recipe: DetectionRecipe, backbones: Backbones, scenes: Scenes, lab: Lab
) -> dict[tuple[str, int], Detector]:
    """A detector from every backbone, with its seed; see `train_detector`."""
    return {
        (method, seed): train_detector(replace(recipe, seed=seed), backbone, scenes, lab)
        for (method, seed), backbone in backbones.items()
    }


def detection_table(detectors: Mapping[tuple[str, int], Detector], scenes: Scenes, lab: Lab) -> pd.DataFrame:
    """`evaluate_detector` of each of them; columns method and seed beside those."""
    parts = [evaluate_detector(one, scenes, lab).assign(method=m, seed=s) for (m, s), one in detectors.items()]
    return pd.concat(parts, ignore_index=True)


def frozen_table(
    recipe: DetectionProbeRecipe, backbones: Backbones, train: Scenes, test: Scenes, lab: Lab
) -> pd.DataFrame:
    """`evaluate_frozen` of every backbone, the probe with its seed; columns method and seed beside those."""
    parts = [
        evaluate_frozen(backbone, train, test, lab, replace(recipe, seed=seed)).assign(method=method, seed=seed)
        for (method, seed), backbone in backbones.items()
    ]
    return pd.concat(parts, ignore_index=True)


def evaluate_detector(detector: Detector, scenes: Scenes, lab: Lab) -> pd.DataFrame:
    """AP over the steps whose weights were kept: step, target ("box" or "mask"), AP, AP50 and AP75, percent.

    See `average_precision`; each step comes from the store, or is computed now. Raises what that does.
    """
    own = detector.artefact.spec | {"backbone": detector.source.spec}  # the same, and it knows whose weights they are
    spec = {"detector": own, "scenes": scenes.digest, "version": DETECTION_VERSION}
    parts = []
    for step in detector.recipe.kept_steps:

        def compute(step: int = step) -> list[dict[str, float]]:
            return _rows(average_precision(scenes, detect(detector.model(step), scenes, lab.fabric)))

        rows = lab.store.remember("detections", spec | {"step": step}, compute)
        parts.append(pd.DataFrame(rows).assign(step=step))
    return pd.concat(parts, ignore_index=True)


def evaluate_frozen(
    source: Pretrained, train: Scenes, test: Scenes, lab: Lab, recipe: DetectionProbeRecipe
) -> pd.DataFrame:
    """One row: AP, AP50 and AP75 of boxes, percent, that `frozen_probe` reaches; from the store, or computed now."""
    spec = {"recipe": recipe, "backbone": source.spec, "train": train.digest, "test": test.digest}
    spec |= {"precision": lab.precision, "version": DETECTION_VERSION}

    def compute() -> list[dict[str, float]]:
        return _rows(average_precision(test, frozen_probe(source, train, test, lab.fabric, recipe)).loc[["box"]])

    return pd.DataFrame(lab.store.remember("detection_probes", spec, compute)).drop(columns="target")


def drawn(
    scenes: Scenes, found: Sequence[Found], *, least: float = 0.5
) -> tuple[list[np.ndarray], pd.DataFrame, list[np.ndarray] | None]:
    """What `boxes_on_images` shows: images, boxes, and where something was found; None where there are no masks.

    found: of every image, in their order; what has a score below `least` is left out.
    """
    images = [scenes.image(number).permute(1, 2, 0).numpy() for number in range(len(scenes))]
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(found):
        rows += _boxes(scenes.objects(number), scenes.class_names, image=number, what="there")
        scored = _boxes(one, scenes.class_names, image=number, what="found")
        scores = one.scores.tolist()
        rows += [
            box | {"text": f"{box['text']}, {score:.2f}"}
            for box, score in zip(scored, scores, strict=True)
            if score >= least
        ]
    masks = [one.masks[one.scores >= least].any(dim=0).numpy() for one in found if one.masks is not None]
    columns = ["image", "what", "text", "left", "top", "right", "bottom"]
    return images, pd.DataFrame(rows, columns=columns), masks if len(masks) == len(images) else None


def _boxes(those: Objects | Found, names: Sequence[str], **of: Any) -> list[dict[str, Any]]:
    sides = ("left", "top", "right", "bottom")
    boxes = zip(those.labels.tolist(), those.boxes.tolist(), strict=True)
    return [of | {"text": names[label]} | dict(zip(sides, box, strict=True)) for label, box in boxes]


def _rows(values: pd.DataFrame) -> list[dict[str, float]]:
    return values.rename_axis("target").reset_index().to_dict(orient="records")
