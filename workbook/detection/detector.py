"""Mask R-CNN with a feature pyramid on a backbone of ours (He et al. 2017, Lin et al. 2017), of torchvision's parts.

A's setting is MoCo's (A 5.2; He et al. 2020, A.4), which is Detectron2's: a batch norm in the pyramid, trained as the
backbone's, heads without any. What torchvision does otherwise is set right here: L1 losses of the boxes in place of
smooth ones with beta 1/9, aligned pooling that samples each cell as often as its size asks, anchors that are not
rounded and stand at the strides themselves, masks cut at one half, and first weights of the heads. What is left: its
proposals' box loss is over the anchors that were drawn, where there is a fixed number of these an image; images are
resized without smoothing, which only matters where they shrink.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.poolers import LevelMapper

from workbook.fields import Count, Positive, check_fields
from workbook.models.backbones import Backbone

_RATIOS = (0.5, 1.0, 2.0)  # of an anchor's height to its width
_PROBE = 128  # pixels of the image that tells a backbone's strides
_BOX_CELLS, _MASK_CELLS = 7, 14  # a side, of what the heads read of a box


@dataclass(frozen=True, kw_only=True)
class DetectorSize:
    """How large the images, the anchors and the heads of a detector are; the defaults are those of COCO."""

    # pixels of the shorter side: training draws one for every image, and what is detected takes the last
    sides: tuple[Count, ...] = (640, 672, 704, 736, 768, 800)
    longest: Count = 1333  # pixels of the longer side, at most
    anchor: Positive = 8.0  # side of a level's anchors, in strides of the level: 32 to 512 pixels on a ResNet
    candidates: Count = 2000  # proposals of a level before suppression, in training; half as many where it detects
    proposals: Count = 1000  # of an image, after suppression
    anchors_drawn: Count = 256  # of an image, for the loss of the proposals
    boxes_drawn: Count = 512  # of an image, for the losses of the heads
    channels: Count = 256  # of the pyramid and of the mask head
    mask_layers: Count = 4
    head_width: Count = 1024  # of the box head

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.sides or max(self.sides) > self.longest:
            raise ValueError(f"sides must be some, none above longest ({self.longest}), got {list(self.sides)}")


# not in the papers: for images of 64 pixels and a backbone with a small stem, whose strides are 1, 2, 4 and 8
SMALL = DetectorSize(
    sides=(64,),
    longest=64,
    candidates=200,
    proposals=100,
    anchors_drawn=64,
    boxes_drawn=64,
    channels=32,
    mask_layers=2,
    head_width=256,
)


def mask_rcnn(backbone: Backbone, num_classes: int, size: DetectorSize | None = None) -> GeneralizedRCNN:
    """A detector whose backbone starts from the weights of this one, which stays as it is; size: COCO's, unless given.

    In training it takes images (a list of (3, H, W) in [0, 1], of any sizes) with targets (a list of dictionaries:
    boxes (n, 4), labels (n,) from 1, masks (n, H, W)) and gives five losses by name; in evaluation it takes images and
    gives dictionaries of boxes, labels, scores and masks (m, 1, H, W), probabilities. Label 0 is the background.
    Every weight is trained. Batch norms are plain, those of one device: on several, the training synchronises them.
    The weights of pyramid and heads come from torch's global generator.
    Raises ValueError for a backbone without four last stages each of half the resolution of the one before, as a ViT.
    """
    size = size or DetectorSize()
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    pyramid = Pyramid(backbone, size.channels)
    strides = pyramid.strides
    mean, std = (getattr(backbone, name).flatten().tolist() for name in ("mean", "std"))
    transform = GeneralizedRCNNTransform(size.sides, size.longest, mean, std, size_divisible=strides[-2])
    return GeneralizedRCNN(pyramid, _proposals(strides, size), _heads(strides, num_classes + 1, size), transform)


class Pyramid(nn.Module):
    """Normalised images (N, 3, H, W), padded, to maps of five levels: the last four stages' and one of half of those.

    Maps come in float32, whatever they were computed in: boxes are made of them, and bfloat16 has eight bits.
    """

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        shapes = _last_maps(backbone)
        self.backbone = deepcopy(backbone).requires_grad_(True)
        self.strides = tuple(_PROBE // rows for _, rows, _ in shapes) + (2 * (_PROBE // shapes[-1][1]),)
        widths = [width for width, _, _ in shapes]
        self.fpn = FeaturePyramidNetwork(widths, channels, LastLevelMaxPool(), norm_layer=nn.BatchNorm2d)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        maps, _ = self.backbone.stages_of_normalised(inputs)
        levels = self.fpn({str(level): stage for level, stage in enumerate(maps[-4:], start=2)})
        return {name: level.float() for name, level in levels.items()}


@torch.no_grad()
def _last_maps(backbone: Backbone) -> list[tuple[int, int, int]]:
    """(channels, rows, columns) of the last four stages of a square image; ValueError where they are no pyramid."""
    training = backbone.training
    maps, _ = backbone.eval().stages_of_normalised(backbone.mean.new_zeros(1, 3, _PROBE, _PROBE))
    backbone.train(training)
    shapes = [(stage.shape[1], stage.shape[2], stage.shape[3]) for stage in maps[-4:]]
    sides = [rows for _, rows, _ in shapes]
    if len(sides) < 4 or any(2 * after != before for before, after in pairwise(sides)):
        raise ValueError(
            f"a feature pyramid needs four stages, each of half the resolution of the one before; of {_PROBE} pixels "
            f"the backbone's last have sides of {sides} (a plain vision transformer keeps one resolution): "
            "take a ResNet, an EfficientNet or a Swin"
        )
    return shapes


def _proposals(strides: Sequence[int], size: DetectorSize) -> RegionProposalNetwork:
    return _Proposals(
        _Anchors([size.anchor * stride for stride in strides], strides),
        _ProposalHead(size.channels, len(_RATIOS)),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=size.anchors_drawn,
        positive_fraction=0.5,
        pre_nms_top_n={"training": size.candidates, "testing": -(-size.candidates // 2)},
        post_nms_top_n={"training": size.proposals, "testing": size.proposals},
        nms_thresh=0.7,
    )


def _heads(strides: Sequence[int], outputs: int, size: DetectorSize) -> RoIHeads:
    box_head = TwoMLPHead(size.channels * _BOX_CELLS**2, size.head_width)
    predictor = _BoxPredictor(size.head_width, outputs)
    mask_predictor = MaskRCNNPredictor(size.channels, size.channels, outputs)
    for layer in (box_head.fc6, box_head.fc7):
        nn.init.kaiming_uniform_(layer.weight, a=1)
    last = (predictor.cls_score, 0.01), (predictor.bbox_pred, 0.001), (mask_predictor.mask_fcn_logits, 0.001)
    for layer, spread in last:
        nn.init.normal_(layer.weight, std=spread)
    for module in (box_head, predictor, mask_predictor):
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
    return _Heads(
        AlignedPool(strides[:-1], _BOX_CELLS),
        box_head,
        predictor,
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=size.boxes_drawn,
        positive_fraction=0.25,
        bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
        mask_roi_pool=AlignedPool(strides[:-1], _MASK_CELLS),
        mask_head=MaskRCNNHeads(size.channels, (size.channels,) * size.mask_layers, 1),
        mask_predictor=mask_predictor,
    )


class _Anchors(AnchorGenerator):
    """One side a level and three ratios; torchvision rounds the anchors, and takes strides from padded images."""

    def __init__(self, sides: Sequence[float], strides: Sequence[int]) -> None:
        super().__init__(tuple((side,) for side in sides), (_RATIOS,) * len(sides))
        self.strides = strides

    def generate_anchors(self, scales: Any, aspect_ratios: Any, **how: Any) -> Tensor:
        (side,), ratios = scales, torch.tensor(aspect_ratios)
        widths, heights = side / ratios.sqrt(), side * ratios.sqrt()
        return torch.stack([-widths, -heights, widths, heights], dim=1) / 2

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        self.set_cell_anchors(torch.float32, feature_maps[0].device)
        grids: Any = [level.shape[-2:] for level in feature_maps]
        anchors = torch.cat(self.grid_anchors(grids, [[stride, stride] for stride in self.strides]))
        return [anchors] * len(image_list.image_sizes)


class _ProposalHead(RPNHead):
    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = super().forward(x)
        return [level.float() for level in logits], [level.float() for level in deltas]


class _Proposals(RegionProposalNetwork):
    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        positive, negative = (torch.cat(drawn).bool() for drawn in self.fg_bg_sampler(labels))
        drawn, right = positive | negative, torch.cat(labels)
        wanted = torch.cat(regression_targets)
        away = l1_loss(pred_bbox_deltas[positive], wanted[positive], reduction="sum")
        return binary_cross_entropy_with_logits(objectness.flatten()[drawn], right[drawn]), away / drawn.sum()


class _BoxPredictor(FastRCNNPredictor):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = super().forward(x)
        return logits.float(), deltas.float()


class AlignedPool(nn.Module):
    """Maps of the levels and boxes (a list of (n, 4), pixels) to what lies in the boxes, (all boxes, C, cells, cells).

    A box is read from the level of which it covers about 14 cells a side (Lin et al. 2017, Eq. 1), half a cell to the
    left and above of where torchvision's reads: at the cells' centres. A cell is the mean of as many samples as it is
    wide and high, rounded up.
    """

    def __init__(self, strides: Sequence[int], cells: int) -> None:
        super().__init__()
        self.strides, self.cells = strides, cells
        # 224 pixels on the third of the levels 2 to 5, whose stride there is 16
        self.level_of = LevelMapper(2, 5, canonical_scale=14 * strides[2], canonical_level=4)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor], image_shapes: Any) -> Tensor:
        levels = list(features.values())[: len(self.strides)]
        rows = torch.cat([torch.cat([one.new_full((len(one), 1), at), one], 1) for at, one in enumerate(boxes)])
        level_of = self.level_of(boxes)
        pooled = levels[0].new_zeros(len(rows), levels[0].shape[1], self.cells, self.cells)
        for at, (level, stride) in enumerate(zip(levels, self.strides, strict=True)):
            here = torch.where(level_of == at)[0]
            pooled[here] = roi_align(level, rows[here], self.cells, 1 / stride, aligned=True)
        return pooled


class _Heads(RoIHeads):
    """torchvision's heads of boxes and masks, with Detectron2's losses."""

    def forward(self, features: Any, proposals: Any, image_shapes: Any, targets: Any = None) -> Any:
        if self.training:
            return [], self._losses(features, proposals, image_shapes, targets)
        return self._found(features, proposals, image_shapes), {}

    def _losses(self, features: Any, proposals: Any, shapes: Any, targets: Any) -> dict[str, Tensor]:
        boxes, matched, labels, wanted = self.select_training_samples(proposals, targets)
        logits, deltas = self.box_predictor(self.box_head(self.box_roi_pool(features, boxes, shapes)))
        right = torch.cat(labels)
        objects = torch.where(right > 0)[0]
        own = deltas.unflatten(1, (-1, 4))[objects, right[objects]]  # each class has a box of its own
        away = l1_loss(own, torch.cat(wanted)[objects], reduction="sum")
        losses = {"loss_classifier": cross_entropy(logits, right), "loss_box_reg": away / len(right)}
        shown = [label > 0 for label in labels]
        boxes = [one[at] for one, at in zip(boxes, shown, strict=True)]
        matched = [one[at] for one, at in zip(matched, shown, strict=True)]
        masks = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, shapes)))
        sources = zip(targets, boxes, matched, strict=True)
        cut = [_cut(target["masks"], box, source, masks.shape[-1]) for target, box, source in sources]
        own = masks[torch.arange(len(objects)), right[objects]]
        # without an object the mean over nothing is no number
        loss = binary_cross_entropy_with_logits(own, torch.cat(cut)) if len(objects) else masks.sum() * 0
        return losses | {"loss_mask": loss}

    def _found(self, features: Any, proposals: Any, shapes: Any) -> list[dict[str, Tensor]]:
        logits, deltas = self.box_predictor(self.box_head(self.box_roi_pool(features, proposals, shapes)))
        boxes, scores, labels = self.postprocess_detections(logits, deltas, proposals, shapes)
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, shapes)))
        masks = maskrcnn_inference(logits.float(), labels)
        names = ("boxes", "scores", "labels", "masks")
        return [dict(zip(names, parts, strict=True)) for parts in zip(boxes, scores, labels, masks, strict=True)]


def _cut(masks: Tensor, boxes: Tensor, matched: Tensor, cells: int) -> Tensor:
    """What a mask head is to give of boxes (n, 4): the masks (objects, H, W) that they match, (n, cells, cells)."""
    rows = torch.cat([matched[:, None].to(boxes), boxes], dim=1)
    return (roi_align(masks[:, None].to(boxes), rows, cells, aligned=True) >= 0.5).to(boxes)[:, 0]
