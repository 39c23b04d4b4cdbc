"""What does not run rots: every block of the README and of the site, with stand-ins for the files that they name."""

import re
import shlex
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from typer.testing import CliRunner

from tests.in_process import scoring_here, write_set
from workbook.cli import app
from workbook.models.backbones import create_backbone
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import train
from workbook.report.notebooks import declared_parameters, read_notebook
from workbook.report.parameters import parse_assignments, route
from workbook.study import Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("notebooks/docs/*.md")))]
BLOCKS = [found for page in PAGES for found in re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
LINES = [
    line.partition(" #")[0].strip() for language, block in BLOCKS if language == "sh" for line in block.splitlines()
]
COMMANDS = list(dict.fromkeys(line for line in LINES if line and not line.startswith("#")))
ON_CLUSTERS = ("torchrun ", "srun workbook ", "workbook report ", "export ")
RUN = Recipe(
    dataset="generated",
    images_per_class=2,
    image_size=16,
    backbone="narrow_resnet",
    small_stem=True,
    epochs=1,
    warmup_epochs=0,
    batch_size=32,
)


def commands(beginning: str) -> list[str]:
    found = [command for command in COMMANDS if command.startswith(beginning)]
    assert found, "a test of nothing"
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with what the README names: timm's weights are fresh ones, since tests have no network."""
    monkeypatch.chdir(tmp_path)
    scoring_here(monkeypatch, tmp_path)
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **how: create(name, **how))
    return tmp_path


def test_every_block_is_run_by_a_test_below():
    assert {language for language, _ in BLOCKS} == {"sh", "python", ""}, "the one without a language is a drawing"
    known = ("make ", "workbook score ", "workbook data ", "WORKBOOK_DATA=~/data make ", *ON_CLUSTERS)
    assert [command for command in COMMANDS if not command.startswith(known)] == []


@pytest.mark.parametrize("command", commands("workbook score"))
def test_a_score_runs(here, command):
    if "checkpoint.pth" in command:
        torch.save(torchvision.models.resnet50().state_dict(), here / "checkpoint.pth")
    words = shlex.split(command.replace("cifar100", str(write_set(here))))[1:]
    if re.fullmatch("[0-9a-f]{20}", words[1]):
        words[1] = train(RUN, Study.of("smoke").lab).key
    small = ["--image-size", "32"] if "--dataset" in words else []  # the one thing that the README's has not
    done = CliRunner().invoke(app, [*words, *small])
    assert done.exit_code == 0, done.output
    assert "cluster_diversity" in done.output
    if small:
        assert "accuracy_stage5" in done.output and "Pi: k must be a whole number from 1 to 6" in done.output


@pytest.mark.parametrize("command", commands("workbook data"))
def test_a_question_about_data_is_answered(here, command):
    words = shlex.split(command.replace("cifar100", str(write_set(here))))[1:]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", [*commands("make"), *commands("WORKBOOK_DATA")])
def test_what_make_is_told_is_known(command):
    """Parsed only: each starts a server, or runs for minutes to days."""
    words = [word for word in shlex.split(command) if not word.startswith("WORKBOOK_")][1:]
    target, given = words[0], dict(word.split("=", 1) for word in words[1:])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"\n{target}: " in makefile and all(f"$({name})" in makefile for name in given)
    if notebook := given.get("NOTEBOOK"):
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").exists()
    words = shlex.split(given.get("ARGS", ""))
    assert all((ROOT / word).exists() for word in words if word.endswith(".ipynb"))
    options = [word for word in words if not word.endswith(".ipynb")]
    assert set(options[::2]) <= {"-p", "--jobs"}
    assignments = [value for option, value in zip(options[::2], options[1::2], strict=True) if option == "-p"]
    names = {path.stem: declared_parameters(read_notebook(path), path.stem) for path in ROOT.glob("notebooks/*.ipynb")}
    route(names, parse_assignments(assignments), profile=given.get("PROFILE", "smoke"))


@pytest.mark.parametrize("command", [line for beginning in ON_CLUSTERS[:3] for line in commands(beginning)])
def test_what_a_cluster_is_told_is_known(command):
    """Parsed only: the profile, the notebooks and the parameters."""
    words = shlex.split(command.partition("workbook ")[2])
    assert words[0] in {"sweep", "report"} and list(ROOT.glob(words[1])), "a pattern of the shell"
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert set(options) <= {"--profile", "-p"}
    names = {path.stem: declared_parameters(read_notebook(path), path.stem) for path in ROOT.glob(words[1])}
    route(names, parse_assignments([options["-p"]] if "-p" in options else []), profile=options["--profile"])


def test_the_python_runs(here):
    """As it stands but for sizes: a profile of seconds, a narrow network, one epoch."""
    (block,) = (block for language, block in BLOCKS if language == "python")
    torch.save(create_backbone("narrow_resnet", image_size=32, small_stem=True).model.state_dict(), "checkpoint.pth")
    stand_ins = {
        'Study.of("paper")': 'Study.of("smoke", images_per_class=8)',
        "image_size=224": "image_size=32, small_stem=True",
        '"flowers102"': f'"{write_set(here)}"',
        "recipe = finetune_recipe(base, ": "recipe = quick(base, ",
        "control_cycle=1)": "control_cycle=1, epochs=1)",
    }
    for text, stand_in in stand_ins.items():
        assert text in block
        block = block.replace(text, stand_in)
    quick = "from dataclasses import replace\nquick = lambda *args: replace(finetune_recipe(*args), epochs=1)\n"
    exec(quick + block, {})
