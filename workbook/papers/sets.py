"""The downstream data sets of the papers, as manifests call them; a side stands after a colon."""

from typing import Literal

# twelve; of Omniglot the evaluation alphabets
SETS_A: tuple[str, ...] = ("chestx", "cropdisease", "deepweeds", "dtd", "eurosat", "flowers102", "kaokore")
SETS_A += ("omniglot:eval", "resisc45", "imagenet-sketch", "svhn", "isic2018")
SETS_B: tuple[str, ...] = ("caltech256", "cifar10", "cifar100", "cub200", "dtd", "fgvc-aircraft", "food101")
SETS_B += ("mit-indoor-67", "nabirds", "flowers102", "oxford-pets", "stanford-cars", "stanford-dogs", "sun397")
SETS: dict[Literal["A", "B"], tuple[str, ...]] = {"A": SETS_A, "B": SETS_B}
