import pickle
from dataclasses import replace

import pytest
import torch

from tests.detection.made import coco_mini, found, needs_coco, objects, square, squares
from workbook.detection.generated import generated_scenes
from workbook.detection.runs import Runs
from workbook.detection.scenes import Found, tight_boxes


def test_masks_come_out_of_runs_as_they_went_in():
    masks = torch.rand(5, 7, 9, generator=torch.Generator().manual_seed(0)) > 0.6
    runs = Runs.of(masks)
    assert runs.shape == (5, 7, 9)
    assert torch.equal(runs.decoded(), masks)
    assert torch.equal(Runs.of(masks[:0]).decoded(), masks[:0])


def test_run_lengths_go_down_the_columns():
    """COCO's own: 0s first, then 1s, and so on; here 1 zero, 2 ones, 3 zeros."""
    mask = torch.tensor([[False, False], [True, False], [True, False]])
    assert Runs.of(mask[None]).codes == (b"123",)


def test_masks_are_what_was_coded():
    masks = torch.stack([square(0, 0), square(8, 8)])
    for one in (objects(masks, [0, 1]), found(masks, [0, 1], [0.5, 0.4])):
        assert torch.equal(one.masks, masks) and len(one) == 2


def test_refuses_what_is_no_masks():
    with pytest.raises(ValueError, match=r"masks must be bool of shape \(n, H, W\), got torch.float32 \(1, 20, 20\)"):
        Runs.of(square(0, 0)[None].float())


def test_boxes_lie_close_around_masks():
    masks = torch.rand(40, 6, 8, generator=torch.Generator().manual_seed(1)) > 0.93
    masks = masks[masks.any(dim=(1, 2))]
    for mask, box in zip(masks, tight_boxes(masks).tolist(), strict=True):
        rows, columns = mask.nonzero().T.tolist()
        assert box == [min(columns), min(rows), max(columns) + 1, max(rows) + 1]
    assert tight_boxes(masks[:0]).shape == (0, 4)


def test_a_selection_is_of_these_images_in_this_order():
    scenes = squares(*(objects(square(k, k)[None], [k]) for k in range(3)))
    chosen = scenes.select([2, 0])
    assert (len(chosen), chosen.ids) == (2, (12, 10))
    assert [int(chosen.image(place)[0, 0, 0]) for place in range(2)] == [2, 0]
    assert [chosen.objects(place).labels.tolist() for place in range(2)] == [[2], [0]]
    assert chosen.select([1]).ids == (10,)
    digests = {scenes.digest, chosen.digest, scenes.select([0, 2]).digest, chosen.select([1]).digest}
    assert len(digests) == 4 and chosen.digest == scenes.select([2, 0]).digest
    with pytest.raises(IndexError):
        scenes.select([3])


def test_images_without_an_example_are_left_out_whether_the_set_tells_them_or_not():
    masks = torch.stack([square(0, 0), square(8, 8)])
    scenes = squares(objects(masks[:0], []), objects(masks, [0, 1], [True, False]), objects(masks, [0, 1], [True] * 2))
    assert scenes.annotated().ids == (11,)
    assert replace(scenes, with_examples=(True, False, True)).annotated().ids == (10, 12)
    assert replace(scenes, with_examples=(True, False, True)).select([1, 2]).annotated().ids == (12,)


def test_scenes_travel_to_other_processes():
    scenes = generated_scenes("train", 3).select([2])
    assert torch.equal(pickle.loads(pickle.dumps(scenes)).image(0), scenes.image(0))


@needs_coco
def test_coco_travels_to_other_processes():
    scenes = coco_mini("val2017").select([5])
    there = pickle.loads(pickle.dumps(scenes))
    assert torch.equal(there.image(0), scenes.image(0)) and torch.equal(there.objects(0).masks, scenes.objects(0).masks)


FINE = {
    "boxes": torch.tensor([[0.0, 0, 4, 4], [8, 8, 12, 12]]),
    "labels": torch.tensor([0, 1]),
    "scores": torch.tensor([0.5, 0.4]),
    "runs": Runs.of(torch.stack([square(0, 0), square(8, 8)])),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": torch.zeros(3, 4)}, r"boxes must have shape \(2, 4\) for 2 scores, got \(3, 4\)"),
        ({"boxes": torch.zeros(2, 5)}, r"boxes must have shape \(2, 4\) for 2 scores, got \(2, 5\)"),
        ({"labels": torch.zeros(2, 1).long()}, r"labels must have shape \(2,\) for 2 scores, got \(2, 1\)"),
        ({"labels": torch.zeros(2)}, "labels must be integers, got torch.float32"),
        ({"scores": torch.tensor(0.5)}, "scores must have shape"),
        ({"scores": torch.tensor([0.5, float("nan")])}, "scores must be finite, got 1 values that are not"),
        ({"boxes": FINE["boxes"] * float("inf")}, "boxes must be finite, got 8 values that are not"),
        ({"boxes": FINE["boxes"].flip(1)}, "boxes must be left, top, right, bottom, got 2 whose"),
        ({"runs": Runs.of(square(0, 0)[None])}, r"masks must have shape \(2, H, W\) for 2 scores, got \(1, 20, 20\)"),
    ],
)
def test_refuses_detections(changes, message):
    with pytest.raises(ValueError, match=message):
        Found(**(FINE | changes))


def test_detections_may_have_no_masks_and_be_none():
    assert replace(Found(**FINE), runs=None).masks is None
    assert len(Found(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0), None)) == 0
