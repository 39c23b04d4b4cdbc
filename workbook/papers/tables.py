"""The tables of both papers, cell by cell as printed, with types; known misprints stay in them."""

from dataclasses import dataclass
from importlib import resources

import pandas as pd

FILES = {
    "A.1": "slmlp_table1_redundancy",
    "A.2": "slmlp_table2_concept_generalization",
    "A.3": "slmlp_table3_detection",
    "A.4": "slmlp_table4_transfer",
    "A.5": "slmlp_table5_components",
    "B.1": "diverse_table1_correlations",
    "B.2": "diverse_table2_datasets",
    "B.3": "diverse_table3_linear_cnn",
    "B.4": "diverse_table4_finetune_cnn",
    "B.5": "diverse_table5_finetune_vit",
    "B.6": "diverse_table6_full_metrics",
    "B.7": "diverse_table7_finetune_cnn_full",
    "B.8": "diverse_table8_finetune_vit_full",
    "B.9": "diverse_table9_linear_cnn_full",
}
# the single-label data sets of B 5.1, in the order of Tables 4, 5, 7 and 8
DATA_SETS = (
    ("Caltech", "CIFAR10", "CIFAR100", "CUB", "DTD", "Aircraft", "Food", "Indoor", "Birds")
    + ("Flowers", "Pets", "Cars", "Dogs", "SUN")
)  # fmt: skip
_PROTOCOLS = {
    "B.3": ("linear probe, CNN", "CNN"),
    "B.4": ("finetuning, CNN", "CNN"),
    "B.5": ("finetuning, ViT", "ViT"),
    "B.6": ("metrics, CNN", "CNN"),
    "B.7": ("finetuning, CNN", "CNN"),
    "B.8": ("finetuning, ViT", "ViT"),
    "B.9": ("linear probe, CNN", "CNN"),
}
_KEYS = {"B.1": "score", "B.2": "symbol", **{f"B.{number}": "model" for number in range(3, 10)}}
_FLAGS = ["labels", "mlp", "results_from_48", "supervised", "unsupervised", "from_islam2021"]
_FLAGS += ["input_fc", "bn", "relu", "output_fc"]


def load_table(name: str) -> pd.DataFrame:
    """One table of a paper, named as in FILES: "A.1" to "A.5", "B.1" to "B.9".

    Accuracies are percent, counts are integers, yes and no are bool, an empty cell is missing. Tables of B have an
    index: the score, the data set's symbol or the model. `base` is the method that a model starts from,
    `control_cycle` the T of its label injection, missing for the base itself. `underlined` holds what the paper
    underlines, as a tuple of its column names.
    Raises ValueError for a name that is no table.
    """
    if name not in FILES:
        raise ValueError(f"there is no table {name!r}; those there are: {', '.join(FILES)}")
    with resources.files("workbook.papers").joinpath("tables", f"{FILES[name]}.csv").open("rb") as stream:
        table = pd.read_csv(stream, thousands=",")
    for column in table.columns.intersection(_FLAGS):
        table[column] = table[column].astype(bool)
    for column in table.columns.intersection(["control_cycle", "citation"]):
        table[column] = table[column].astype("Int64")
    if "underlined" in table:
        table["underlined"] = [tuple(cell.split(";")) if cell else () for cell in table["underlined"].fillna("")]
    return table.set_index(_KEYS[name]) if name in _KEYS else table


def models_of_paper_b() -> pd.DataFrame:
    """Table 6's 39 CNN models with their Transfer by linear probe (Table 9) and by finetuning (Table 7).

    Index model; columns base, control_cycle, accuracy (ImageNet, %, as in Table 6), cluster_cis, spectral_cis, cka,
    msc, v_intra, s_inter, linear (100 times adjusted log-odds) and finetune (adjusted log-odds).
    """
    names = {"ImageNet": "accuracy", "cis_clustering": "cluster_cis", "cis_spectral": "spectral_cis"}
    names |= {"intra_class_variance": "v_intra", "inter_class_separation": "s_inter"}
    models = load_table("B.6").drop(columns=["model_as_printed", "citation"]).rename(columns=names)
    return models.assign(linear=load_table("B.9")["Transfer"], finetune=load_table("B.7")["Transfer"])


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """A table of models as the search for misprints reads it (`workbook.papers.flags`).

    values: models x columns, the numbers as printed. base, control_cycle: a model's family and its place in it,
    missing at the family's origin. protocol: tables of one protocol print the same experiments. architecture: columns
    in `shared` mean the same in all tables of one architecture. transfer: the printed Transfer, None where the table
    has none; `scale` times the mean log-odds of `data_sets` up to a constant. ordered: (lower, upper) where the
    definitions make a column no larger than another.
    """

    values: pd.DataFrame
    base: pd.Series
    control_cycle: pd.Series
    protocol: str
    architecture: str
    shared: tuple[str, ...] = ("ImageNet",)
    transfer: pd.Series | None = None
    data_sets: tuple[str, ...] = DATA_SETS
    scale: float = 1.0
    ordered: tuple[tuple[str, str], ...] = ()

    @property
    def half_units(self) -> pd.Series:
        """Half a unit of the last digit that most values of a column have: what rounding can hide."""
        return 0.5 * 10.0 ** -self.values.map(lambda value: len(repr(float(value)).partition(".")[2])).mode().iloc[0]


def tables_of_paper_b() -> dict[str, PrintedTable]:
    """Tables 3 to 9, by the names of FILES."""
    # B Eqs. 4 and 5: S_inter is V_intra plus the spread of the class means (metrics.inter_class_separation)
    ordered = (("intra_class_variance", "inter_class_separation"),)
    tables = {}
    for name, (protocol, architecture) in _PROTOCOLS.items():
        table = load_table(name)
        tables[name] = PrintedTable(
            values=table.select_dtypes("float").drop(columns="Transfer", errors="ignore"),
            base=table["base"],
            control_cycle=table["control_cycle"],
            protocol=protocol,
            architecture=architecture,
            transfer=table.get("Transfer"),
            scale=100.0 if "linear" in protocol else 1.0,
            ordered=ordered if name == "B.6" else (),
        )
    return tables
