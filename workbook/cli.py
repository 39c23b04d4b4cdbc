"""The `workbook` command. Each of its commands imports what it needs: most need no torch, and the help nothing."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

import typer
from typer.core import TyperGroup

from workbook.commands.store import store_app
from workbook.errors import ReportError, WorkbookError

if TYPE_CHECKING:
    from workbook.data import Manifest, Verification
    from workbook.evaluation.entries import Entry


class _PlainErrors(TyperGroup):
    """A WorkbookError is for the user: its message is shown without a traceback; exit status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            _start()
            return super().invoke(ctx)
        except WorkbookError as error:
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(1) from error


def _start() -> None:
    """What environment variables say of folders is of the folder that the command starts in, for its kernels, too."""
    from workbook.files import user_path

    for name in ("WORKBOOK_DATA", "WORKBOOK_STORE"):
        if os.environ.get(name):
            os.environ[name] = str(user_path(os.environ[name]))


app = typer.Typer(cls=_PlainErrors, no_args_is_help=True, add_completion=False, help="The transferability workbook.")
data_app = typer.Typer(no_args_is_help=True, help="Data sets: which there are, and whether yours are whole.")
app.add_typer(data_app, name="data")
app.add_typer(store_app, name="store")
results_app = typer.Typer(no_args_is_help=True, help="Measured verdicts that the README quotes.")
app.add_typer(results_app, name="results")

Out = Annotated[Path | None, typer.Option(help="The folder that the pages go into.")]
Profile = Annotated[str, typer.Option(help="How large everything is: smoke, sketch, pocket, study, paper.")]
Name = Annotated[str, typer.Argument(help="A manifest's name, or the path of your own .yaml file.")]


@data_app.command("list")
def data_list() -> None:
    """The data sets that have a manifest."""
    from workbook.data import list_manifests, load_manifest

    rows: list[tuple[str, ...]] = [("NAME", "CLASSES", "TRAIN", "TEST", "IN THE PAPER", "CONCEPT SPLIT", "TITLE")]
    for name in list_manifests():
        manifest = load_manifest(name)
        counts = (manifest.class_count, manifest.splits["train"], manifest.splits["test"])
        texts = (_paper_sizes(manifest), _concept_split(manifest), _titled(manifest))
        rows.append((name, *(f"{count:,}" for count in counts), *texts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@data_app.command("show")
def data_show(name: Name) -> None:
    """What a manifest says, and how to get the data."""
    from workbook.data import load_manifest
    from workbook.data.sources import place

    manifest = load_manifest(name)
    holdout, split = manifest.holdout, manifest.concept_split
    facts = {
        "title": f"{manifest.title} ({manifest.task})",
        "labels": "any number an image" if manifest.task == "multilabel" else "one an image",
        "classes": f"{manifest.class_count:,}",
        "images": ", ".join(f"{count:,} {split}" for split, count in manifest.splits.items()),
        "in the paper": _paper_sizes(manifest),
        "image size": f"{manifest.image_size} pixels" if manifest.image_size else "varied",
        "holdout": holdout and holdout.rule,
        "concept split": split and f"{_concept_split(manifest)}; {split.rule}",
        "licence": manifest.licence,
        "citation": manifest.citation,
        "page": manifest.url,
        "copies": "; ".join(place(source) for source in manifest.sources),
        "to get it": manifest.advice,
    }
    for label, fact in facts.items():
        if fact:
            typer.echo(f"{label:14} {fact}")


@data_app.command("verify")
def data_verify(
    name: Name, every_image: Annotated[bool, typer.Option("--all", help="Decode every image, not a sample.")] = False
) -> None:
    """Check counts, classes, checksums and images, and note where a paper states other sizes; exit status 1 if
    something is wrong."""
    from workbook.data import verify_data

    _echo_verification(verify_data(name, every_image=every_image))


@data_app.command("get")
def data_get(name: Name) -> None:
    """Download a data set into WORKBOOK_DATA, and verify it; where no program can, what to do by hand."""
    from workbook.data import verify_data
    from workbook.data.getting import get_data
    from workbook.files import named_file

    name = named_file(name)
    typer.echo(get_data(name))
    _echo_verification(verify_data(name))


@data_app.command("new")
def data_new(
    folder: Annotated[Path, typer.Argument(help="Of one folder a class; or of train, val and test with these.")],
    name: Annotated[str | None, typer.Option(help="What the set is called; as the folder if none.")] = None,
) -> None:
    """Write a manifest for a folder of your own images, and tell what looks odd in it."""
    from workbook.data.new import new_manifest

    path, odd = new_manifest(folder, name)
    for remark in odd:
        typer.echo(f"note   {remark}")
    typer.echo(path)
    typer.echo(f"fill in its licence, citation and url; pass it as dataset: -p dataset={path}")


@data_app.command("croissant")
def data_croissant(
    name: Name, out: Annotated[Path | None, typer.Option(help="The file to write; printed if none.")] = None
) -> None:
    """What a manifest says as Croissant metadata (JSON-LD)."""
    from workbook.data import load_manifest
    from workbook.data.croissant import croissant
    from workbook.files import told, write_atomically

    text = json.dumps(croissant(load_manifest(name)), indent=1, ensure_ascii=False)
    if out is None:
        typer.echo(text)
    else:
        with told(WorkbookError, "written", out):
            write_atomically(out.expanduser(), text + "\n")
        typer.echo(out)


@data_app.command("shrink")
def data_shrink(
    name: Name, side: Annotated[int, typer.Option(min=1, help="Of the images' shorter side, in pixels.")] = 256
) -> None:
    """Write smaller JPEGs of a data set beside it, as a set of their own: training decodes them faster. An interrupted
    call goes on where it was."""
    from workbook.data.shrink import shrink_data
    from workbook.files import named_file

    for path in shrink_data(named_file(name), side):
        typer.echo(path)
    typer.echo(f"its manifest is the last of these; pass it as dataset: -p dataset={path}")


@app.command("report")
def report(
    notebooks: Annotated[list[Path] | None, typer.Argument(help="Notebooks to run; all of notebooks/ if none.")] = None,
    profile: Profile = "smoke",
    assignments: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="As YAML: epochs=3, ablation.seeds=2, k=null."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Notebooks that run at a time; 2 if none, but 1 on an accelerator, a core or Ray."),
    ] = None,
    out: Out = None,
) -> None:
    """Run notebooks into reports/PROFILE/ with an index, of another data set reports/PROFILE-DATASET/; exit status 1 if
    one of them failed."""
    from joblib import cpu_count

    from workbook.data import load_manifest
    from workbook.devices import choose_device
    from workbook.engines import engine_name
    from workbook.profiles import load_profile
    from workbook.report.parameters import parse_assignments, parse_value
    from workbook.report.runner import run_reports
    from workbook.report.survey import NOTEBOOKS, REPORTS

    given = parse_assignments(assignments or [])
    # Unknown profiles, devices and engines are told now, not by every notebook in turn.
    manifest = load_manifest(parse_value("dataset", given["dataset"])) if "dataset" in given else None
    device = {name: parse_value(name, given[name]) for name in ("device",) if name in given}
    # two by default, since a notebook leaves cores idle while it starts, draws and reads; not where they share a device
    # or where each has all machines for its jobs
    spread = engine_name() == "ray"
    shared = spread or choose_device(load_profile(profile, **device).device) != "cpu" or cpu_count() == 1
    own = manifest is None or manifest.name == load_profile(profile).recipe.dataset
    out = out or REPORTS / _file_name(profile, "" if own or manifest is None else manifest.name)
    chosen = notebooks or sorted(NOTEBOOKS.glob("*.ipynb"))
    results = run_reports(chosen, profile=profile, parameters=given, out=out, jobs=jobs or (1 if shared else 2))
    failed = sum(result.status == "failed" for result in results)
    typer.echo(f"{len(results) - failed} of {len(results)} notebooks passed: {out / 'index.html'}")
    if failed:
        raise typer.Exit(1)


@app.command("sweep")
def sweep(
    notebooks: Annotated[list[Path] | None, typer.Argument(help="Whose runs; all of notebooks/ if none.")] = None,
    profile: Profile = "smoke",
    assignments: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="As `workbook report` takes them."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it costs, and train nothing.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the plan there, a record a run.")] = None,
) -> None:
    """Train what notebooks need, and stop before anything is measured; the plan comes first, with hours and GB."""
    from workbook.files import write_atomically
    from workbook.report.parameters import parse_assignments
    from workbook.report.survey import NOTEBOOKS
    from workbook.sweep.notebooks import sweep_of
    from workbook.sweep.told import plan_text, run_records

    found = sweep_of(notebooks or sorted(NOTEBOOKS.glob("*.ipynb")), profile, parse_assignments(assignments or []))
    for name, problem in found.problems.items():
        typer.secho(f"{name}: {problem}", fg="red", err=True)
    if not found.runs or found.lab is None:
        typer.echo("these notebooks train nothing")
        raise typer.Exit(bool(found.problems))
    records = run_records(found)
    if found.lab.fabric.is_global_zero:
        typer.echo(plan_text(records, found))
        if json_file is not None:
            write_atomically(json_file.expanduser(), records.to_json(orient="records", indent=1))
    if not plan:
        found.train()
    if found.problems:
        raise typer.Exit(1)


@app.command("new")
def new(folder: Annotated[Path, typer.Argument(help="A new folder for them, or an empty one.")]) -> None:
    """Copy the notebooks into a folder of your own, to run and change there."""
    from workbook.report.notebooks import copy_notebooks
    from workbook.report.survey import NOTEBOOKS

    copied = copy_notebooks(folder, source=NOTEBOOKS)
    typer.echo(f"copied {len(copied)} files to {copied[0].parent}")
    typer.echo(f"run them in JupyterLab, or with: workbook report {copied[0].parent}/*.ipynb")


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


@app.command("score")
def score(
    models: Annotated[
        list[str],
        typer.Argument(
            help="A run's key, a checkpoint file, a model of timm (resnet50), of torchvision (torchvision/resnet50) or "
            "of the Hugging Face hub (hf/ORG/NAME), a folder with config.json, your code, which is run "
            "(file.py:function), or a list of them (.csv, .yaml)."
        ),
    ],
    architecture: Architecture = None,
    accuracy: Annotated[
        float | None, typer.Option(help="ImageNet top-1 in percent, of one model, for the CIS.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="A manifest, or cifar100:eval: measure the features on it too. Repeat it.")
    ] = None,
    part: Part = None,
    prefix: Prefix = None,
    image_size: ImageSize = None,
    mean: Mean = None,
    std: Std = None,
    small_stem: SmallStem = False,
    fresh: Fresh = False,
    profile: Annotated[str, typer.Option(help="How many images of a data set are read.")] = "pocket",
    out: Out = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table there, too.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="The same as JSON.")] = None,
) -> None:
    """Score models: a page with their diversity, CIS, feature measures, transfer and stages, and the table here."""
    import pandas as pd

    from workbook.evaluation.entries import entries_of
    from workbook.files import named_file, write_atomically
    from workbook.profiles import load_profile
    from workbook.report.runner import run_reports
    from workbook.report.survey import NOTEBOOKS, REPORTS

    models, datasets = ([named_file(name) for name in names] for names in (models, dataset or []))
    how: dict[str, Any] = {"accuracy": accuracy, "architecture": _named_network(architecture)}
    how |= {"part": part, "prefix": prefix, "image_size": image_size, "mean": mean, "std": std}
    how |= {"small_stem": small_stem, "fresh": fresh}
    # What cannot be scored is told now, and leaves the page of an earlier score as it is.
    load_profile(profile)
    entries = entries_of(models, **how)
    if accuracy is not None and len(entries) > 1:
        raise typer.BadParameter("--accuracy is of one model: give a list (.csv) with a column accuracy")
    out = out or REPORTS / "score" / _score_folder(models, entries, datasets)
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
    for path, text in ((csv, table.to_csv(index=False)), (json_file, table.to_json(orient="records", indent=1))):
        if path is not None:
            write_atomically(path.expanduser(), text)
    _echo_scores(table)
    typer.echo(f"the page: {out / 'score_your_models.html'}")
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
    from workbook.store import Store

    if len(entries) == 1:
        opened = entries[0].open(Store())
        for note in opened.notes:
            typer.echo(note)
        named = f"{opened.name}-{opened.digest[:8]}" if os.path.isabs(entries[0].model) else entries[0].model
    else:
        called = Path(models[0]).stem if len(models) == 1 else f"{len(models)} models"
        named = f"{called}-{crc32(repr(entries).encode()):08x}"
    sets = []
    for name, _, side in (dataset.partition(":") for dataset in datasets):
        for split in ("train", "test"):
            load_images(name, split, side=side or None).one_label("a score")
        sets += [load_manifest(name).name, side]
    return _file_name(named, *sets)


@app.command("export")
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


@app.command("push")
def push_run(
    run: Annotated[str, typer.Argument(help="Its key, as `workbook store list` shows it.")],
    to: Annotated[str, typer.Option(help="A new folder, or hf:ORG/NAME on the Hugging Face hub.")],
) -> None:
    """Give a run away: its backbone, its recipe and a card, as a folder that timm opens where the network is timm's."""
    from workbook.report.survey import NOTEBOOKS, REPORTS
    from workbook.sharing.push import push
    from workbook.store import Store

    records = [path for root in (REPORTS, NOTEBOOKS / "results") for path in root.rglob("*.json")]
    typer.echo(push(run, to, Store(), reports=sorted({path.parent for path in records})))


@app.command(context_settings={"ignore_unknown_options": True})
def explore(
    notebook: Annotated[str, typer.Argument(help="explore_features or explore_diversity.")] = "explore_features",
    profile: Profile = "smoke",
    more: Annotated[list[str] | None, typer.Argument(help="Voila's own options, such as --port=8900.")] = None,
) -> None:
    """Open an explorer as a page of its own, on this machine only, until Ctrl+C."""
    from workbook.explorers.serve import serve

    serve(notebook, {"profile": profile}, more or ())


def _echo_verification(found: "Verification") -> None:
    """Exit status 1 if something is wrong."""
    for line in found.checked:
        typer.echo(f"ok     {line}")
    for remark in found.remarks:
        typer.echo(f"note   {remark}")
    for problem in found.problems:
        typer.secho(f"WRONG  {problem}", fg="red", err=True)
    if found.problems:
        raise typer.Exit(1)


def _echo_scores(table: Any) -> None:
    """Of one model everything, of several what they are compared by; last, what was not scored."""
    import pandas as pd

    problem = table["problem"].notna() if "problem" in table else pd.Series(False, table.index)
    scored = table[~problem].drop(columns="problem", errors="ignore")
    if scored["model"].nunique() == 1:
        for _, row in scored.iterrows():
            for name, value in row[row.notna() & (row != "")].items():
                typer.echo(f"{name:26} {value:.4f}" if isinstance(value, float) else f"{name:26} {value}")
    elif len(scored):
        shown = ["model", "dataset", "accuracy", "cluster_diversity", "spectral_diversity"]
        shown += ["linear", "k-NN", "5-way 5-shot"]
        typer.echo(scored[[name for name in shown if name in scored]].round(4).to_string(index=False))
    for row in table[problem].to_dict("records"):
        typer.echo(f"not scored: {row['model']}: {row['problem']}", err=True)


@results_app.command("adopt")
def results_adopt(
    profile: Annotated[str, typer.Argument(help="Whose reports are kept as evidence; never smoke.")],
) -> None:
    """Copy the verdicts of reports/PROFILE/ to notebooks/results/PROFILE/, rounded, without machine paths."""
    from workbook.files import IN_CHECKOUT
    from workbook.report.results import adopt
    from workbook.report.survey import NOTEBOOKS, REPORTS

    if not IN_CHECKOUT:
        raise ReportError("results are adopted in a checkout, from where they are committed; clone the repository")
    for path in adopt(profile, reports=REPORTS, results=NOTEBOOKS / "results"):
        typer.echo(f"adopted {path}")


def _file_name(*parts: str) -> str:
    """Of a folder: the parts that there are, without what a file system may take ill."""
    return re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts)))


def _titled(manifest: "Manifest") -> str:
    return manifest.title if manifest.task == "classification" else f"{manifest.title} ({manifest.task})"


def _paper_sizes(manifest: "Manifest") -> str:
    """What the papers state where it is not what the set has."""
    stated = []
    for paper, sizes in manifest.paper_sizes.items():
        if all(manifest.splits[split] == count for split, count in sizes.items()):
            stated.append(f"{paper}: the same")
        else:
            stated.append(f"{paper}: " + ", ".join(f"{count:,} {split}" for split, count in sizes.items()))
    return "; ".join(stated)


def _concept_split(manifest: "Manifest") -> str:
    if manifest.concept_split is None:
        return "none"
    status = "official" if manifest.concept_split.official else "not official"
    if manifest.class_names is None:
        return status
    parts = manifest.concept_split.parts(manifest.class_names)
    return f"{' / '.join(f'{len(names)} {side}' for side, names in parts.items())}, {status}"
