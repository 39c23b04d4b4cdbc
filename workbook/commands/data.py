"""`workbook data`: which data sets there are, which of them are here, and whether they are whole."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbook.commands.options import AsJson, data_sets, echo_table
from workbook.errors import WorkbookError
from workbook.papers.sets import SETS

if TYPE_CHECKING:
    from workbook.data import Manifest, Verification

data_app = typer.Typer(no_args_is_help=True, help="Data sets: which there are, and whether yours are whole.")

Name = Annotated[
    str, typer.Argument(help="A manifest's name, or the path of your own .yaml file.", autocompletion=data_sets)
]
_COUNTS = ("CLASSES", "    TRAIN", "   TEST")


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """The data sets that have a manifest, and which of them are on this machine."""
    from workbook.data import list_manifests, load_manifest
    from workbook.data.manifests import data_root
    from workbook.data.places import seems_here

    manifests = [load_manifest(name) for name in list_manifests()]
    here = {manifest.name for manifest in manifests if seems_here(manifest)}
    if as_json:
        records = [_record(manifest) | {"here": manifest.name in here} for manifest in manifests]
        typer.echo(json.dumps(records, indent=1))
        return
    rows: list[tuple[str, ...]] = [("NAME", "HERE", *_COUNTS, "IN THE PAPER", "CONCEPT SPLIT", "TITLE")]
    for manifest in manifests:
        counts = (manifest.class_count, manifest.splits["train"], manifest.splits["test"])
        numbers = (f"{count:,}".rjust(len(head)) for count, head in zip(counts, _COUNTS, strict=True))
        texts = (_in_the_paper(manifest), _concept_split(manifest), _titled(manifest))
        rows.append((manifest.name, "yes" if manifest.name in here else "-", *numbers, *texts))
    echo_table(rows)
    typer.echo(f"{len(here)} of {len(manifests)} are here: in {data_root()}, or with the package")
    typer.echo("to get another: workbook data get NAME; where yours lie elsewhere: set WORKBOOK_DATA")


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


def _record(manifest: "Manifest") -> dict[str, Any]:
    """What `data list` says of it, plain."""
    split = manifest.concept_split
    return {
        "name": manifest.name,
        "title": manifest.title,
        "task": manifest.task,
        "classes": manifest.class_count,
        "splits": manifest.splits,
        "paper_sizes": manifest.paper_sizes,
        "concept_split": split and {"official": split.official},
    }


def _in_the_paper(manifest: "Manifest") -> str:
    """Whose downstream set it is, or whose sizes it states; and whether these are others than the set has."""
    told = []
    for letter, names in SETS.items():
        sizes = manifest.paper_sizes.get(letter, {})
        if sizes or manifest.name in {name.partition(":")[0] for name in names}:
            other = any(manifest.splits[split] != count for split, count in sizes.items())
            told.append(f"{letter} (other sizes)" if other else letter)
    return ", ".join(told)


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
