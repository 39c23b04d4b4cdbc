"""`workbook score`, `export` and `push`: what is done with one model, or with a few."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

import typer

from workbook.commands.options import AsJson, Out, Profile, check_profile, data_sets, stored_runs

if TYPE_CHECKING:
    from workbook.evaluation.entries import Entry

_FLOAT = ".5g"  # 0.001 is not 0.0

Architecture = Annotated[
    str | None, typer.Option(help="Of checkpoint files: timm's name, torchvision/NAME, or file.py:function.")
]
Part = Annotated[str | None, typer.Option(help="The entry of the file that holds the weights.")]
Prefix = Annotated[str | None, typer.Option(help="What stands before the weights' names in the file.")]
ImageSize = Annotated[int | None, typer.Option(min=1, help="Side of the images; each model's own if none.")]
Channels = tuple[float, float, float] | None
Mean = Annotated[Channels, typer.Option(help="Of the channels, in [0, 1]: --mean 0.5 0.5 0.5")]
Std = Annotated[Channels, typer.Option(help="As --mean; the weights' own, else ImageNet's.")]
SmallStem = Annotated[
    bool, typer.Option("--small-stem", help="A stem for small images: a 3 x 3 convolution of stride 1.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="timm's or torchvision's model untrained.")]


def score(
    models: Annotated[
        list[str],
        typer.Argument(
            help="A run's key, a checkpoint file, a model of timm (resnet50), of torchvision (torchvision/resnet50) or "
            "of the Hugging Face hub (hf/ORG/NAME), a folder with config.json, your code, which is run "
            "(file.py:function), or a list of them (.csv, .yaml).",
            autocompletion=stored_runs,
        ),
    ],
    architecture: Architecture = None,
    accuracy: Annotated[
        float | None, typer.Option(help="ImageNet top-1 in percent, of one model, for the CIS.")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            help="A manifest, or cifar100:eval: measure the features on it too. Repeat it.", autocompletion=data_sets
        ),
    ] = None,
    part: Part = None,
    prefix: Prefix = None,
    image_size: ImageSize = None,
    mean: Mean = None,
    std: Std = None,
    small_stem: SmallStem = False,
    fresh: Fresh = False,
    profile: Profile = "pocket",
    out: Out = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table there, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score models: a page with their diversity, CIS, feature measures, transfer and stages, and the table here."""
    import pandas as pd

    from workbook.evaluation.entries import entries_of
    from workbook.files import named_file, write_atomically
    from workbook.report.runner import run_reports
    from workbook.report.survey import NOTEBOOKS, REPORTS

    models, datasets = ([named_file(name) for name in names] for names in (models, dataset or []))
    how: dict[str, Any] = {"accuracy": accuracy, "architecture": _named_network(architecture)}
    how |= {"part": part, "prefix": prefix, "image_size": image_size, "mean": mean, "std": std}
    how |= {"small_stem": small_stem, "fresh": fresh}
    # What cannot be scored is told now, and leaves the page of an earlier score as it is.
    check_profile(profile)
    entries = entries_of(models, **how)
    if accuracy is not None and len(entries) > 1:
        raise typer.BadParameter("--accuracy is of one model: give a list (.csv) with a column accuracy")
    folder = _score_folder(models, entries, datasets)
    out = out or REPORTS / "score" / folder
    given = {"models": models, "datasets": datasets or None, **how}
    (result,) = run_reports(
        [NOTEBOOKS / "score_your_models.ipynb"],
        profile=profile,
        parameters={name: json.dumps(value) for name, value in given.items() if value is not None},
        out=out,
        here=True,
    )
    if result.status == "failed":
        raise typer.Exit(1)
    table = pd.DataFrame(result.findings["measurements"])
    if csv is not None:
        write_atomically(csv.expanduser(), table.to_csv(index=False))
    if as_json:
        typer.echo(table.to_json(orient="records", indent=1))
    else:
        _echo_scores(table)
    typer.echo(f"the page: {out / 'score_your_models.html'}", err=as_json)
    if "problem" in table:
        raise typer.Exit(1)


def _named_network(architecture: str | None) -> str | None:
    """A function of a file by its absolute path, as a notebook runs elsewhere; a library's name as it is."""
    from workbook.files import named_file

    return named_file(architecture) if architecture and ":" in architecture else architecture


def _score_folder(models: Sequence[str], entries: Sequence["Entry"], datasets: Sequence[str]) -> str:
    """The name of a score's folder; tells how a single model is opened, and raises where it or the data is not there.

    Lists and files of different models have the same name: what is in them tells them apart.
    """
    from workbook.data import load_images, load_manifest
    from workbook.files import file_name
    from workbook.keys import is_key
    from workbook.store import Store

    if len(entries) == 1:
        opened = entries[0].open(Store())
        for note in opened.notes:
            typer.echo(note, err=True)
        unnamed = os.path.isabs(entries[0].model) or is_key(entries[0].model)
        named = f"{opened.name}-{opened.digest[:8]}" if unnamed else entries[0].model
    else:
        called = Path(models[0]).stem if len(models) == 1 else f"{len(models)} models"
        named = f"{called}-{crc32(repr(entries).encode()):08x}"
    sets = []
    for name, _, side in (dataset.partition(":") for dataset in datasets):
        for split in ("train", "test"):
            load_images(name, split, side=side or None).one_label("a score")
        sets += [load_manifest(name).name, side]
    return file_name(named, *sets)


def export(
    model: Annotated[str, typer.Argument(help="As `workbook score` takes it: a run's key, a name, a file, a folder.")],
    onnx: Annotated[Path, typer.Option(help="The file to write.")],
    architecture: Architecture = None,
    part: Part = None,
    prefix: Prefix = None,
    image_size: ImageSize = None,
    mean: Mean = None,
    std: Std = None,
    small_stem: SmallStem = False,
    fresh: Fresh = False,
) -> None:
    """Write a model as ONNX: images in [0, 1], of any number and the model's size, to pooled features."""
    from workbook.evaluation.entries import Entry
    from workbook.files import named_file
    from workbook.sharing.onnx_file import export_onnx
    from workbook.store import Store

    how: dict[str, Any] = {"architecture": _named_network(architecture), "part": part, "prefix": prefix}
    how |= {"image_size": image_size, "mean": mean, "std": std, "small_stem": small_stem, "fresh": fresh}
    opened = Entry(model=named_file(model), **how).open(Store())
    for note in opened.notes:
        typer.echo(note)
    typer.echo(f"{onnx}: {export_onnx(opened, onnx)}")


def push(
    run: Annotated[str, typer.Argument(help="Its key, as `workbook store list` shows it.", autocompletion=stored_runs)],
    to: Annotated[str, typer.Option(help="A new folder, or hf:ORG/NAME on the Hugging Face hub.")],
) -> None:
    """Give a run away: its backbone, its recipe and a card, as a folder that timm opens where the network is timm's."""
    from workbook.report.survey import NOTEBOOKS, REPORTS
    from workbook.sharing.push import push as give
    from workbook.store import Store

    records = [path for root in (REPORTS, NOTEBOOKS / "results") for path in root.rglob("*.json")]
    typer.echo(give(run, to, Store(), reports=sorted({path.parent for path in records})))


def _echo_scores(table: Any) -> None:
    """Of one model everything, of several what they are compared by; last, what was not scored."""
    import pandas as pd

    problem = table["problem"].notna() if "problem" in table else pd.Series(False, table.index)
    scored = table[~problem].drop(columns="problem", errors="ignore")
    if scored["model"].nunique() == 1:
        for _, row in scored.iterrows():
            for name, value in row[row.notna() & (row != "")].items():
                typer.echo(f"{name:26} {value:{_FLOAT}}" if isinstance(value, float) else f"{name:26} {value}")
    elif len(scored):
        shown = ["model", "dataset", "accuracy", "cluster_diversity", "spectral_diversity"]
        shown += ["linear", "k-NN", "5-way 5-shot"]
        numbers = f"{{:{_FLOAT}}}".format
        typer.echo(scored[[name for name in shown if name in scored]].to_string(index=False, float_format=numbers))
    for row in table[problem].to_dict("records"):
        typer.echo(f"not scored: {row['model']}: {row['problem']}", err=True)
