"""What the papers say: one claim a statement that a notebook can be held against.

`number` is the effect as printed, with the sign that the statement predicts; None where the paper shows a curve
or a picture without printing its values.
"""

from typing import Literal

from workbook.papers.verdicts import Claim


def _claims(paper: Literal["A", "B"], *rows: tuple[str, str, str, float | None, str]) -> dict[str, Claim]:
    return {
        f"{paper}.{name}": Claim(
            id=f"{paper}.{name}", paper=paper, place=place, statement=statement, number=number, unit=unit
        )
        for name, place, statement, number, unit in rows
    }


_A = _claims(
    "A",
    ("stages.sl-drops", "3.2, Fig. 2", "SL loses accuracy on eval-D from stage 4 to stage 5", None, "points"),
    (
        "stages.slmlp-rises",
        "4.2, Fig. 6a",
        "SL-MLP gains accuracy on eval-D from stage 4 to stage 5",
        None,
        "points",
    ),
    (
        "stages.slmlp-monotone",
        "4.2, Fig. 6a",
        "SL-MLP's accuracy on eval-D rises at every step from stage 1 to stage 5 (measured: its smallest step)",
        None,
        "points",
    ),
    ("stages.slmlp-above", "4.2, Fig. 6a", "SL-MLP is above SL on eval-D at stage 5", None, "points"),
    (
        "pooled.slmlp-above",
        "Table 2, ResNet-50, 300 epochs",
        "SL-MLP is above SL on eval-D in the pooled features of the last layer",
        9.7,
        "points",
    ),
    (
        "mlp.byol",
        "3.3, Fig. 2",
        "Byol is above Byol w/o MLP on eval-D in the pooled features",
        23.3,
        "points",
    ),
    (
        "mlp.mocov1",
        "3.3, Fig. 2",
        "Mocov1 w/ MLP is above Mocov1 on eval-D in the pooled features",
        5.1,
        "points",
    ),
    (
        "mlp.mocov2",
        "3.3, Fig. 2",
        "Mocov2 is above Mocov2 w/o MLP on eval-D in the pooled features",
        3.7,
        "points",
    ),
    ("variation.phi", "4.2, Fig. 6c", "SL has a larger discriminative ratio on pre-D than SL-MLP", None, ""),
    (
        "variation.phi-eval",
        "4.3, Fig. 9",
        "SL-MLP has a larger discriminative ratio on eval-D than SL",
        None,
        "",
    ),
    (
        "variation.accuracy",
        "4.2, Figs. 6b and 6c",
        "SL-MLP, of the smaller ratio on pre-D, is above SL in accuracy on eval-D",
        9.7,
        "points",
    ),
    (
        "variation.sl-descends",
        "4.2, Fig. 6b",
        "SL's accuracy on eval-D falls from its best epoch to its last, while its ratio on pre-D grows",
        None,
        "points",
    ),
    ("mixture.sl-falls", "4.2, Fig. 7a", "SL's Feature Mixture falls over pretraining", None, ""),
    (
        "mixture.pi",
        "4.2, Fig. 7a",
        "SL-MLP mixes pre-D and eval-D more than SL: a higher Feature Mixture",
        None,
        "",
    ),
    ("redundancy.sl", "Table 1, 300 epochs", "SL's features are more redundant than SL-MLP's", 0.053, ""),
    (
        "redundancy.sl-grows",
        "Table 1, from 100 to 300 epochs",
        "SL's redundancy grows from a third of pretraining to its end",
        0.009,
        "",
    ),
    (
        "redundancy.byol",
        "Table 1, 300 epochs",
        "Byol w/o MLP's features are more redundant than Byol's",
        0.21,
        "",
    ),
    (
        "transfer.linear",
        "Table 4",
        "SL-MLP is above SL by linear evaluation, mean of 12 data sets",
        5.79,
        "points",
    ),
    (
        "transfer.finetune",
        "Table 4",
        "SL-MLP is above SL finetuned with 1,000 images, mean of 12 sets",
        1.12,
        "points",
    ),
    (
        "transfer.fewshot",
        "Table 4",
        "SL-MLP is above SL in 5-way 5-shot, mean of 12 data sets",
        3.95,
        "points",
    ),
    ("detection.ap", "Table 3, 100 epochs", "SL-MLP is above SL in detection on COCO", 0.8, "AP"),
)

_B = _claims(
    "B",
    (
        "diversity.ssl",
        "4.1, Fig. 4",
        "Self-supervised backbones are more diverse than supervised ones",
        None,
        "",
    ),
    (
        "cis.linear",
        "Table 1, Spearman",
        "Spectral CIS correlates with transfer by linear probe more than ImageNet accuracy does",
        0.36,
        "",
    ),
    (
        "cis.finetune",
        "Table 1, Spearman",
        "Cluster CIS correlates with transfer by finetuning more than ImageNet accuracy does",
        0.19,
        "",
    ),
    (
        "injection.accuracy",
        "4.2, Fig. 6",
        "Upstream accuracy rises as the control cycle falls",
        None,
        "points",
    ),
    (
        "injection.best",
        "4.2, Fig. 7",
        "The control cycle of the best CIS is that of the best transfer",
        None,
        "",
    ),
)

CLAIMS: dict[str, Claim] = _A | _B
