"""What the claims are about, and which notebook answers them."""

from dataclasses import dataclass

from workbook.papers.claims import CLAIMS
from workbook.papers.verdicts import Claim


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Claims of one paper that belong together.

    prefixes: how their ids begin. notebooks: the names, without suffix, of those that answer them, first the
    one whose question it is; empty where none does yet.
    """

    name: str
    prefixes: tuple[str, ...]
    notebooks: tuple[str, ...] = ()

    @property
    def claims(self) -> list[Claim]:
        """In the order of the paper."""
        return [claim for claim in CLAIMS.values() if claim.id.startswith(self.prefixes)]


TOPICS = (
    Topic(name="Accuracy, stage by stage", prefixes=("A.stages.",), notebooks=("01_stagewise_evaluation",)),
    Topic(
        name="The last layer",
        prefixes=("A.pooled.",),
        notebooks=("01_stagewise_evaluation", "02_mlp_ablation"),
    ),
    Topic(name="With and without an MLP", prefixes=("A.mlp.",), notebooks=("02_mlp_ablation",)),
    Topic(name="Parts of the projector", prefixes=("A.components.",), notebooks=("02_mlp_ablation",)),
    Topic(name="Intra-class variation", prefixes=("A.variation.",), notebooks=("03_intra_class_variation",)),
    Topic(name="Feature mixture", prefixes=("A.mixture.",), notebooks=("04_feature_mixture",)),
    Topic(name="Feature redundancy", prefixes=("A.redundancy.",), notebooks=("05_feature_redundancy",)),
    Topic(name="Transfer to other data sets", prefixes=("A.transfer.",), notebooks=("08_transfer_suite",)),
    Topic(name="Detection", prefixes=("A.detection.",)),
    Topic(name="Feature diversity", prefixes=("B.diversity.",), notebooks=("06_feature_diversity",)),
    Topic(name="Label injection", prefixes=("B.injection.",), notebooks=("07_label_injection",)),
    Topic(
        name="CIS and linear probes",
        prefixes=("B.cis.linear",),
        notebooks=("10_what_predicts_transfer",),
    ),
    Topic(
        name="CIS and finetuning",
        prefixes=("B.cis.finetune",),
        notebooks=("10_what_predicts_transfer",),
    ),
    Topic(name="Silhouette", prefixes=("B.msc.",), notebooks=("10_what_predicts_transfer",)),
    Topic(
        name="Which factor matters most",
        prefixes=("B.importance.",),
        notebooks=("10_what_predicts_transfer",),
    ),
)


def topics_of(notebook: str) -> list[Topic]:
    """What a notebook, named without suffix, answers; empty for a tool."""
    return [topic for topic in TOPICS if notebook in topic.notebooks]
