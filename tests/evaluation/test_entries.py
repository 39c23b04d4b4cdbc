import pytest
import torch

from workbook.errors import CheckpointError
from workbook.evaluation.entries import Entry, entries_of, read_list
from workbook.models.checkpoints import from_timm
from workbook.store import Store

CSV = """model,name,group,accuracy,image_size,mean,fresh
weights.pth,mine,a,71.5,32,0.5 0.5 0.5,
resnet18,,,,,,yes
"""
YAML = """
- model: weights.pth
  name: mine
  group: a
  accuracy: 71.5
  image_size: 32
  mean: [0.5, 0.5, 0.5]
- {model: resnet18, fresh: true}
"""


@pytest.mark.parametrize(("name", "text"), [("list.csv", CSV), ("list.yaml", YAML)])
def test_a_list_is_read_and_files_are_looked_for_beside_it(tmp_path, name, text):
    (tmp_path / "weights.pth").touch()
    (tmp_path / name).write_text(text)
    first, second = read_list(tmp_path / name, architecture="resnet18")
    path, mean = str(tmp_path / "weights.pth"), (0.5, 0.5, 0.5)
    of_first = {"name": "mine", "group": "a", "accuracy": 71.5, "image_size": 32, "mean": mean}
    assert first == Entry(model=path, architecture="resnet18", **of_first)
    assert second == Entry(model="resnet18", architecture="resnet18", fresh=True)


def test_a_folder_and_a_file_of_code_are_looked_for_beside_the_list(tmp_path):
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").touch()
    (tmp_path / "resnet18").mkdir()  # of something else
    (tmp_path / "net.py").touch()
    rows = ["model,architecture", "hub,", "net.py:network,", "resnet18,net.py:network", "gone.py:network,"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    hub, own, name, gone = read_list(tmp_path / "list.csv")
    assert hub.model == str(tmp_path / "hub") and own.model == f"{tmp_path}/net.py:network"
    assert (name.model, name.architecture, gone.model) == ("resnet18", own.model, "gone.py:network")


def test_a_row_decides_over_what_holds_for_all(tmp_path):
    (tmp_path / "list.csv").write_text("model,image_size\nresnet18,64.0\nresnet34,\n")
    listed = entries_of([str(tmp_path / "list.csv"), "resnet50"], image_size=32)
    assert [(entry.model, entry.image_size) for entry in listed] == [
        ("resnet18", 64),
        ("resnet34", 32),
        ("resnet50", 32),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "model,acuracy\nresnet18,70\n", r"line 2: no column 'acuracy' .did you mean 'accuracy'"),
        ("l.csv", "model,accuracy\nresnet18,good\n", r"line 2: accuracy is 'good'"),
        ("l.csv", "model,accuracy\nresnet18,0.7\n", r"line 2: accuracy is top-1 in percent, above 1"),
        ("l.csv", "model,fresh\nresnet18,perhaps\n", r"line 2: fresh is 'perhaps'"),
        ("l.csv", "model,name\nresnet18\n", r"line 2 has another number of columns"),
        ("l.csv", "name\nmine\n", r"line 2: `model` is missing"),
        ("l.csv", "model\n", "lists no model"),
        ("l.yaml", "model: resnet18\n", "must be a list of models"),
        ("l.yaml", "- model: resnet18\n- model: 3\n", r"line 2: `model` is missing"),
        ("l.yaml", "- model: resnet18\n  image_size: big\n", r"line 1: image_size takes int"),
        ("l.yaml", "- [", "l.yaml"),
    ],
)
def test_what_is_wrong_in_a_list_is_told_with_its_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_list(tmp_path / name)


def test_a_list_that_is_no_text_or_not_there(tmp_path):
    (tmp_path / "l.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="is no text"):
        read_list(tmp_path / "l.csv")
    with pytest.raises(CheckpointError, match="it is not there"):
        entries_of([str(tmp_path / "none.csv")])


def test_an_entry_is_opened_as_it_says_and_untrained_weights_have_no_accuracy(tmp_path):
    weights = from_timm("mobilenetv2_035", pretrained=False).backbone.model.state_dict()
    torch.save(weights, tmp_path / "w.pth")
    entry = Entry(model=str(tmp_path / "w.pth"), architecture="mobilenetv2_035", image_size=32, accuracy=60.0)
    opened = entry.open(Store(tmp_path / "store"))
    assert (opened.architecture, opened.image_size) == ("mobilenetv2_035", 32)
    with pytest.raises(CheckpointError, match="freshly initialised"):
        Entry(model="mobilenetv2_035", fresh=True, accuracy=60.0).open(Store(tmp_path / "store"))
