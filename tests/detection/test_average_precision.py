import contextlib
import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.detection.made import COCO, blurred, coco_mini, found, needs_coco, nothing, objects, perfect, square, squares
from workbook.detection.average_precision import average_precision, coco_results
from workbook.detection.generated import generated_scenes
from workbook.detection.runs import Runs
from workbook.detection.scenes import Found
from workbook.errors import MissingLibraryError


def by_pycocotools(scenes, those, *, class_agnostic=False) -> np.ndarray:
    """(2, 3): boxes and masks; AP, AP50 and AP75 in percent."""
    tools = pytest.importorskip("pycocotools.coco")
    from pycocotools import mask
    from pycocotools.cocoeval import COCOeval

    truth, results = [], []
    for index, one in enumerate(those):
        for part, into in ((scenes.objects(index), truth), (one, results)):
            for k in range(len(part)):
                left, top, right, bottom = part.boxes[k].double().tolist()
                into.append(
                    {
                        "id": len(into) + 1,
                        "image_id": index,
                        "category_id": 7 if class_agnostic else 3 * int(part.labels[k]) + 2,  # with gaps
                        "bbox": [left, top, right - left, bottom - top],
                        "segmentation": mask.encode(np.asfortranarray(part.masks[k].numpy().astype(np.uint8))),
                    }
                )
                if into is truth:
                    into[-1] |= {"area": float(part.areas[k]), "iscrowd": int(part.crowds[k])}
                else:
                    into[-1]["score"] = float(part.scores[k])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = tools.COCO()
        sizes = [scenes.objects(index).masks.shape[1:] for index in range(len(scenes))]
        images = [{"id": index, "height": height, "width": width} for index, (height, width) in enumerate(sizes)]
        numbers = [7] if class_agnostic else range(2, 3 * len(scenes.class_names), 3)
        coco.dataset = {"images": images, "annotations": truth, "categories": [{"id": n} for n in numbers]}
        coco.createIndex()
        rows = []
        for kind in ("bbox", "segm"):
            evaluated = COCOeval(coco, coco.loadRes(results), kind)
            evaluated.evaluate()
            evaluated.accumulate()
            evaluated.summarize()
            rows.append(100 * evaluated.stats[:3])
    return np.array(rows)


@needs_coco
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_it_is_pycocotools_on_coco(class_agnostic):
    scenes = coco_mini("val2017").select(range(24))
    assert any(bool(scenes.objects(index).crowds.any()) for index in range(len(scenes)))
    those = blurred(scenes, seed=1)
    ours = average_precision(scenes, those, class_agnostic=class_agnostic)
    assert 5 < ours.to_numpy().min() < ours.to_numpy().max() < 95
    assert np.abs(ours.to_numpy() - by_pycocotools(scenes, those, class_agnostic=class_agnostic)).max() < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_it_is_pycocotools_on_generated_scenes(seed):
    scenes = generated_scenes("test", 30)
    those = blurred(scenes, seed)
    ours = average_precision(scenes, those).to_numpy()
    assert 1 < ours.min() < ours.max() < 95
    assert np.abs(ours - by_pycocotools(scenes, those)).max() < 1e-5


def test_one_number_by_hand():
    """Two objects of a class; three detections: one right, one wrong, one right.

    Precision is 1 up to a recall of 1/2, which 51 of 101 recalls do not exceed, and 2/3 up to 1.
    """
    masks = torch.stack([square(0, 0), square(10, 10), square(0, 14)])
    scenes = squares(objects(masks[:2], [1, 1]))
    table = average_precision(scenes, [found(masks[[0, 2, 1]], [1, 1, 1], [0.9, 0.8, 0.7])])
    assert table.to_numpy().ravel().tolist() == pytest.approx([100 * (51 + 50 * 2 / 3) / 101] * 6)
    assert (list(table.index), list(table.columns)) == (["box", "mask"], ["AP", "AP50", "AP75"])


def test_boxes_and_masks_are_judged_apart():
    """10 of a mask's 16 pixels are an IoU of 0.625, above three of the ten thresholds; the box is right."""
    masks = square(3, 5)[None]
    seen = masks.clone()
    seen[0, 5, 3:7], seen[0, 6, 3:5] = False, False
    one = Found(objects(masks, [0]).boxes, torch.tensor([0]), torch.tensor([0.5]), Runs.of(seen))
    table = average_precision(squares(objects(masks, [0])), [one])
    assert table.to_numpy().tolist() == [[100, 100, 100], [pytest.approx(30), 100, 0]]


@needs_coco
def test_perfect_detections_give_100_on_coco():
    scenes = coco_mini("val2017")
    for class_agnostic in (False, True):
        assert (average_precision(scenes, perfect(scenes), class_agnostic=class_agnostic) == 100).all(axis=None)


def test_perfect_detections_give_100_and_none_give_0():
    scenes = squares(objects(torch.stack([square(0, 0), square(8, 8)]), [0, 2]), objects(square(3, 3)[None], [1]))
    assert (average_precision(scenes, perfect(scenes)) == 100).all(axis=None)
    assert (average_precision(scenes, [nothing(), nothing()]) == 0).all(axis=None)


def test_a_class_without_an_object_does_not_count():
    masks = torch.stack([square(0, 0), square(8, 8)])
    scenes = squares(objects(masks[:1], [0]), objects(masks, [1, 0], [False, True]))
    wrong = [found(masks, [0, 2], [0.9, 0.8]), found(masks[:1], [1], [0.7])]
    assert (average_precision(scenes, wrong) == 100).all(axis=None), "what is called blue is nothing's false alarm"
    assert (average_precision(scenes, wrong, class_agnostic=True)["AP50"] < 100).all()


def test_what_lies_on_a_crowd_is_neither_right_nor_wrong():
    masks = torch.stack([square(0, 0), square(8, 8, side=10)])
    on_crowd = torch.stack([square(9, 9), square(13, 13), square(0, 0)])
    those = [found(on_crowd, [0, 0, 0], [0.9, 0.8, 0.7])]
    assert (average_precision(squares(objects(masks, [0, 0], [False, True])), those) == 100).all(axis=None)
    assert (average_precision(squares(objects(masks, [0, 0])), those) < 100).all(axis=None)


def test_without_any_object_there_is_no_number():
    masks = square(0, 0)[None]
    for scenes in (squares(objects(masks[:0], [])), squares(objects(masks, [0], [True]))):
        assert average_precision(scenes, [found(masks, [0], [0.5])]).isna().all(axis=None)


def test_boxes_alone_have_no_row_of_masks():
    scenes = squares(objects(square(0, 0)[None], [0]), objects(square(3, 3)[None], [1]))
    first, second = perfect(scenes)
    table = average_precision(scenes, [first, replace(second, runs=None)])
    assert (table.loc["box"] == 100).all() and table.loc["mask"].isna().all()


def test_class_agnostic_takes_every_name_for_right():
    scenes = squares(objects(torch.stack([square(0, 0), square(8, 8)]), [0, 2]))
    misnamed = [replace(perfect(scenes)[0], labels=torch.tensor([1, 1]))]
    assert (average_precision(scenes, misnamed) == 0).all(axis=None)
    assert (average_precision(scenes, misnamed, class_agnostic=True) == 100).all(axis=None)


def test_only_the_surest_hundred_of_an_image_and_a_class_count():
    masks = torch.stack([square(0, 0), square(10, 10)])
    scenes = squares(objects(masks[:1], [0]))
    surer = [found(masks[[1] * wrong + [0]], [0] * (wrong + 1), [0.9] * wrong + [0.1]) for wrong in (99, 100)]
    tables = [average_precision(scenes, [one]) for one in surer]
    assert (tables[0].round(6) == 1).all(axis=None) and (tables[1] == 0).all(axis=None)


def test_boxes_of_any_precision_are_read_and_left_alone():
    scenes = squares(objects(square(2, 3)[None], [0]))
    one = perfect(scenes)[0]
    double = replace(one, boxes=one.boxes.double())
    assert (average_precision(scenes, [double]) == 100).all(axis=None)
    assert double.boxes.tolist() == [[2, 3, 6, 7]]


def test_an_iterator_is_asked_for_one_image_at_a_time():
    scenes = squares(*(objects(square(k, k)[None], [0]) for k in range(3)))
    assert (average_precision(scenes, iter(perfect(scenes))) == 100).all(axis=None)


def test_refuses_what_is_not_of_these_images():
    scenes = squares(objects(square(0, 0)[None], [0]), objects(square(3, 3)[None], [1]))
    first, second = perfect(scenes)
    cases = [
        ([first], "found must be of 2 images, got 1"),
        ([first, second, second], "found must be of 2 images, got more"),
        ([first, replace(second, labels=torch.tensor([3]))], "labels of image 1 must be 0 to 2, got 3"),
        ([replace(first, labels=torch.tensor([-1])), second], "labels of image 0 must be 0 to 2, got -1"),
        (
            [first, replace(second, runs=Runs.of(second.masks[:, 1:]))],
            r"masks of image 1 .* \(20, 20\) pixels, got \(19, 20\)",
        ),
    ]
    for those, message in cases:
        with pytest.raises(ValueError, match=message):
            average_precision(scenes, those)


def test_without_the_library_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'transferability-workbook\[detection\]'"):
        average_precision(squares(objects(square(0, 0)[None], [0])), [nothing()])


@needs_coco
def test_results_are_what_coco_s_own_evaluation_reads(tmp_path):
    """Written, and read by pycocotools beside COCO's file, in the numbers of images and categories that stand there."""
    tools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    scenes = coco_mini("val2017")
    assert scenes.category_ids[-1] == 90
    those = blurred(scenes, seed=2)
    (tmp_path / "results.json").write_text(json.dumps(coco_results(scenes, those)))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = tools.COCO(str(COCO / "annotations" / "instances_val2017.json"))
        theirs = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), "segm")
        theirs.evaluate(), theirs.accumulate(), theirs.summarize()
    assert average_precision(scenes, those).loc["mask"].tolist() == pytest.approx(100 * theirs.stats[:3], abs=1e-3)
