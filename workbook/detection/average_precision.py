"""Average precision of detections, as COCO defines it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch

from workbook.detection.runs import coco_library
from workbook.detection.scenes import Found, Objects, Scenes

_ROWS = {"box": "bbox", "mask": "segm"}  # as COCO calls them
_COLUMNS = ("AP", "AP50", "AP75")
_MOST = 100  # detections of an image and a class that count

_Entries = list[dict[str, Any]]  # as COCO's files have them


def average_precision(scenes: Scenes, found: Iterable[Found], *, class_agnostic: bool = False) -> pd.DataFrame:
    """AP of boxes and masks (Lin et al. 2014), computed by faster-coco-eval.

    found: what was found on each of the N images, in their order; an iterator is asked for one image at a time.
    class_agnostic: whether all classes count as one.
    Rows "box" and "mask"; columns AP, the mean over the IoU thresholds 0.5, 0.55 ... 0.95, AP50 and AP75, in percent:
    0 to 100, higher = more of the objects found, with fewer mistakes among the surer detections. Precision is averaged
    over 101 recalls, then over classes; a class without an object that is no crowd does not count. Of an image and a
    class the 100 detections with the highest scores count, and those on a crowd are neither right nor wrong.
    NaN where no class counts, and of masks where those of an image are None.
    Raises ValueError where `found` is not of N images, a label is no place in the class names, or masks have another
    size than their image; MissingLibraryError without faster-coco-eval.
    """
    images, truth, results, with_masks = _entries(scenes, found)
    if class_agnostic:
        for entry in (*truth, *results):
            entry["category_id"] = 0
    categories = [{"id": place, "name": name} for place, name in enumerate(scenes.class_names)]
    objects = coco_library().COCO({"images": images, "annotations": truth, "categories": categories})
    detections = objects.loadRes(results)
    values = {
        row: _summary(objects, detections, kind) if row == "box" or with_masks else [np.nan] * len(_COLUMNS)
        for row, kind in _ROWS.items()
    }
    return pd.DataFrame.from_dict(values, orient="index", columns=_COLUMNS)


def coco_results(scenes: Scenes, found: Iterable[Found]) -> list[dict[str, Any]]:
    """What was found as the files of results that COCO's own evaluation takes, to be written as JSON.

    One entry a detection: image_id and category_id, the set's own numbers, bbox (left, top, width, height in pixels),
    score, and segmentation, run lengths, where there are masks. Raises ValueError as `average_precision` does.
    """
    numbers = scenes.category_ids or tuple(range(len(scenes.class_names)))
    _, _, results, _ = _entries(scenes, found)
    for entry in results:
        entry |= {"image_id": scenes.ids[entry["image_id"]], "category_id": numbers[entry["category_id"]]}
        if "segmentation" in entry:
            code = entry["segmentation"]
            entry["segmentation"] = code | {"counts": code["counts"].decode()}
    return results


def _entries(scenes: Scenes, found: Iterable[Found]) -> tuple[_Entries, _Entries, _Entries, bool]:
    """The images, their objects and what was found there; and whether all of that has masks."""
    images: _Entries = []
    truth: _Entries = []
    results: _Entries = []
    with_masks = True
    for number, one in enumerate(found):
        if number == len(scenes):
            raise ValueError(f"found must be of {len(scenes)} images, got more")
        objects = scenes.objects(number)
        _, height, width = objects.runs.shape
        _check(one, number, (height, width), len(scenes.class_names))
        images.append({"id": number, "height": height, "width": width})
        truth += _listed(objects, number, area=objects.areas.tolist(), iscrowd=objects.crowds.int().tolist())
        results += _listed(one, number, score=one.scores.tolist())
        with_masks &= one.runs is not None
    if len(images) < len(scenes):
        raise ValueError(f"found must be of {len(scenes)} images, got {len(images)}")
    for place, entry in enumerate(truth):
        entry["id"] = place + 1  # the library takes 0 for none
    return images, truth, results, with_masks


def _check(one: Found, number: int, size: tuple[int, int], classes: int) -> None:
    if one.runs is not None and one.runs.shape[1:] != size:
        raise ValueError(f"masks of image {number} must be of {size} pixels, got {one.runs.shape[1:]}")
    if len(one) and not 0 <= int(one.labels.min()) <= int(one.labels.max()) < classes:
        unknown = [label for label in one.labels.tolist() if not 0 <= label < classes]
        raise ValueError(f"labels of image {number} must be 0 to {classes - 1}, got {unknown[0]}")


def _listed(those: Objects | Found, image: int, **columns: list[Any]) -> _Entries:
    first, last = those.boxes.cpu().double().split(2, dim=1)  # doubles, in which widths are exact
    columns |= {"bbox": torch.cat([first, last - first], dim=1).tolist(), "category_id": those.labels.tolist()}
    if those.runs is not None:
        columns["segmentation"] = those.runs.in_coco()
    return [{"image_id": image} | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _summary(objects: Any, detections: Any, kind: str) -> np.ndarray:
    """AP, AP50 and AP75 in percent."""
    evaluated = coco_library().COCOeval_faster(objects, detections, kind)
    chosen = evaluated.params
    chosen.areaRng, chosen.areaRngLbl, chosen.maxDets = chosen.areaRng[:1], chosen.areaRngLbl[:1], [_MOST]  # all sizes
    evaluated.run()
    stats = evaluated.stats[: len(_COLUMNS)]
    return np.where(stats < 0, np.nan, 100 * stats)
