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
    (
        "mlp.supcon",
        "Table 4, linear evaluation, mean of 12 data sets",
        "SupCon is above SupCon w/o MLP (measured: on eval-D, pooled features)",
        13.71,
        "points",
    ),
    ("components.all", "Table 5", "SL with all parts of the projector is above SL", 6.6, "points"),
    ("components.fc", "Table 5", "SL with the input FC alone is above SL", 0.7, "points"),
    ("components.no-fc", "Table 5", "SL with batch norm and ReLU alone is above SL", 4.6, "points"),
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
        "SL's accuracy on eval-D falls from its best epoch to its last (measured: from the best epoch of the other"
        " seeds)",
        None,
        "points",
    ),
    (
        "variation.phi-supcon",
        "4.2, Fig. 4",
        "SupCon's features vary more within the classes of pre-D than those of SupCon w/o MLP"
        " (measured: a smaller discriminative ratio)",
        None,
        "",
    ),
    (
        "variation.phi-byol",
        "4.2, Fig. 4",
        "Byol's features vary more within the classes of pre-D than those of Byol w/o MLP"
        " (measured: a smaller discriminative ratio)",
        None,
        "",
    ),
    (
        "mixture.sl-falls",
        "4.2, Fig. 7a",
        "SL's Feature Mixture falls over pretraining (measured: from the highest epoch of the other seeds)",
        None,
        "",
    ),
    (
        "mixture.pi",
        "4.2, Fig. 7a",
        "SL-MLP mixes pre-D and eval-D more than SL: a higher Feature Mixture",
        None,
        "",
    ),
    ("mixture.byol", "4.2, Fig. 7a", "Byol mixes pre-D and eval-D more than SL", None, ""),
    ("redundancy.sl", "Table 1, 300 epochs", "SL's features are more redundant than SL-MLP's", 0.053, ""),
    (
        "redundancy.sl-grows",
        "Table 1, from 100 to 300 epochs",
        "SL's redundancy grows with pretraining (measured: against a pretraining of a third of the epochs)",
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
        "redundancy.mocov1",
        "Table 1, 300 epochs",
        "Mocov1's features are more redundant than those of Mocov1 w/ MLP",
        0.011,
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
    *(
        (
            f"diversity.ssl-{measure}",
            "4.1, Fig. 4",
            f"Self-supervised backbones have a higher {measure} diversity than the supervised one"
            " (measured: Table 6's CIS over its accuracy, mean of four methods)",
            None,
            "",
        )
        for measure in ("cluster", "spectral")
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
        "Upstream accuracy rises as the control cycle falls (measured: from the largest to the smallest)",
        None,
        "points",
    ),
    (
        "injection.best",
        "4.2, Fig. 7",
        "The control cycle of the best CIS is that of the best transfer"
        " (measured: its transfer by finetuning less the best of the others)",
        None,
        "log-odds",
    ),
    (
        "injection.tipping",
        "4.2, Figs. 6 and 7",
        "From highly diverse starts, SwAV and DINO, diversity falls from the control cycle of the best transfer by"
        " finetuning to a cycle of 1 (measured: cluster diversity)",
        None,
        "",
    ),
)

_TRANSFER = {"linear": "transfer by linear probe", "finetune": "transfer by finetuning"}
_NAMES = {"spearman": "Spearman", "pearson": "Pearson", "kendall": "Kendall", "r2": "R2"}
# Table 1: protocol -> coefficient -> ImageNet Score, Spectral CIS, Cluster CIS
_TABLE_1 = {
    "linear": {
        "spearman": (0.55, 0.91, 0.89),
        "pearson": (0.73, 0.89, 0.88),
        "kendall": (0.38, 0.75, 0.72),
        "r2": (0.13, 0.74, 0.71),
    },
    "finetune": {
        "spearman": (0.74, 0.89, 0.93),
        "pearson": (0.81, 0.83, 0.88),
        "kendall": (0.53, 0.72, 0.77),
        "r2": (0.47, 0.56, 0.70),
    },
}
_STATED_ABOVE = {
    ("linear", "spectral", "spearman"): "B.cis.linear",
    ("finetune", "cluster", "spearman"): "B.cis.finetune",
}


def table1_claim(protocol: str, diversity: str, coefficient: str) -> str:
    """The id of the claim that this CIS correlates with transfer more than ImageNet accuracy does, by Table 1."""
    return _STATED_ABOVE.get((protocol, diversity, coefficient), f"B.cis.{protocol}.{diversity}.{coefficient}")


_B_TABLE_1 = _claims(
    "B",
    *(
        (
            table1_claim(protocol, diversity, coefficient).removeprefix("B."),
            f"Table 1, {_NAMES[coefficient]}",
            f"{diversity.capitalize()} CIS correlates with {_TRANSFER[protocol]} more than ImageNet accuracy does"
            f", by {_NAMES[coefficient]}{' (measured: squared Pearson)' if coefficient == 'r2' else ''}",
            round(printed[place] - printed[0], 2),
            "",
        )
        for protocol, coefficients in _TABLE_1.items()
        for coefficient, printed in coefficients.items()
        for place, diversity in ((1, "spectral"), (2, "cluster"))
        if (protocol, diversity, coefficient) not in _STATED_ABOVE
    ),
    (
        "cis.linear.spectral-best",
        "Table 1, Spearman",
        "Spectral CIS correlates with transfer by linear probe more than Cluster CIS does",
        0.02,
        "",
    ),
    (
        "cis.finetune.cluster-best",
        "Table 1, Spearman",
        "Cluster CIS correlates with transfer by finetuning more than Spectral CIS does",
        0.04,
        "",
    ),
    (
        "msc.accuracy",
        "App. E.1",
        "The mean silhouette coefficient correlates with ImageNet accuracy (measured: Spearman)",
        None,
        "",
    ),
    *(
        (
            f"importance.{protocol}.{diversity}",
            {"linear": "H.2, Fig. 14", "finetune": "6, Fig. 8"}[protocol],
            f"{diversity.capitalize()} CIS is the most important factor for {_TRANSFER[protocol]}"
            " (measured: its lead over the largest of CKA, MSC, V_intra and S_inter)",
            None,
            "",
        )
        for protocol in _TRANSFER
        for diversity in ("cluster", "spectral")
    ),
    *(
        (
            f"importance.{protocol}.{diversity}-diversity",
            "6 and App. F",
            f"With ImageNet accuracy an input of its own, {diversity} diversity is more important for"
            f" {_TRANSFER[protocol]} than CKA, MSC, V_intra and S_inter",
            None,
            "",
        )
        for protocol in _TRANSFER
        for diversity in ("cluster", "spectral")
    ),
)

CLAIMS: dict[str, Claim] = _A | _B | _B_TABLE_1
