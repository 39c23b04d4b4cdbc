"""Two thousand spoilt manifests, parameters, records and checkpoints: each is refused in our words, or right.

A seeded mutation engine: an input that is good is spoilt in one to three places, as text or as a tree. What a door lets
in is held against rules that are written here a second time. A failure names the input that showed it.
"""

import copy
import io
import json
import math
import random
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save as safetensors_bytes

import workbook
from tests.data.copies import CLASSES, FOLDER, manifest, pixels, told, write_folders
from workbook.data import list_manifests, load_images, load_manifest
from workbook.data.pixels import follows_rule, rgb
from workbook.data.readers import open_image
from workbook.devices import DEVICES, PRECISIONS
from workbook.errors import WorkbookError
from workbook.models.backbones import STAGES, create_backbone
from workbook.models.checkpoints import from_checkpoint
from workbook.profiles import SMOKE, load_profile, override_fields
from workbook.report.parameters import parse_assignments, route
from workbook.store import Store

_PACKAGE = Path(workbook.__file__).parent
_SLOWEST = 10  # seconds that an input may take
VALUES = [
    *(None, True, False, 0, -1, 1, 3, 10**9, 10**30, 0.5, -0.5, 1.5, 1e300, float("nan"), float("inf")),
    *("", "a", "é", "no", "0", "1:30", "~nosuchuser", "\x00", "\x1b[2J", "x" * 5000, "{*}", "(a+)+$", "a/../b"),
    *([], [None], [1], ["a"], [[]], {}, {"a": 1}, {"": None}),
]
TOKENS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "&a ",
    "*a",
    "!!int ",
    "!!python/object:os.system ",
    "\n",
    "\t",
    "\\",
    '"',
    "'",
]
TOKENS += ["0b_", "1:30", "2020-99-99", ".nan", "<<: ", "? ", "null", "~", "#", "\x00", "\ufeff", "1e999", "[" * 300]


def places(tree: Any, at: tuple = ()) -> Iterator[tuple]:
    """The address of every part of a tree."""
    yield at
    for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(part, (*at, key))


def spoilt_tree(tree: Any, draw: random.Random, values: list = VALUES) -> Any:
    """A copy of the tree with a part replaced, taken away, wrapped, doubled or renamed."""
    tree = copy.deepcopy(tree)
    address = draw.choice(list(places(tree)))
    if not address:
        return draw.choice([tree, [tree], {"a": tree}, *values])
    *above, key = address
    holder = tree
    for step in above:
        holder = holder[step]
    how = draw.choice(["value", "value", "value", "remove", "wrap", "double", "rename"])
    if how == "value":
        holder[key] = copy.deepcopy(draw.choice(values))
    elif how == "remove":
        del holder[key]
    elif how == "wrap":
        holder[key] = [holder[key]]
    elif isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[f"{key}x" if how == "double" else draw.choice(["a", "", "data", f" {key}"])] = holder[key]
        if how == "rename":
            holder.pop(key, None)
    return tree


def spoilt_bytes(data: bytes, draw: random.Random) -> bytes:
    """The bytes with a bit turned, a part cut, doubled or overwritten, or a token set in."""
    start = draw.randrange(len(data) + 1)
    stop = min(len(data), start + draw.choice([1, 2, 8, 100, len(data)]))
    how = draw.choice(["bit", "cut", "double", "noise", "token", "end"])
    if how == "bit" and start < len(data):
        return data[:start] + bytes([data[start] ^ (1 << draw.randrange(8))]) + data[start + 1 :]
    put = {
        "cut": b"",
        "double": 2 * data[start:stop],
        "noise": draw.randbytes(stop - start),
        "token": draw.choice(TOKENS).encode(errors="surrogatepass"),
    }
    return data[:start] if how == "end" else data[:start] + put.get(how, b"") + data[stop:]


def several(spoil: Callable, draw: random.Random, good: Any) -> Any:
    for _ in range(draw.choice([1, 1, 2, 3])):
        good = spoil(good, draw)
    return good


@contextmanager
def in_time() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError(f"took more than {_SLOWEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_SLOWEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Failures:
    """What was neither refused in our words nor right, one example of each kind; the smallest counts."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.tried = self.refused = 0

    def attempt(self, shown: str, door: Callable[[], str | None]) -> None:
        """`door` lets one input in, and says what is wrong with what came, or None."""
        self.tried += 1
        kind = None
        try:
            with in_time(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wrong = door()
            kind = wrong and f"accepted: {wrong}"
        except WorkbookError as error:
            self.refused += 1
            if not str(error).strip():
                kind = "refused without a word"
        except (Exception, SystemExit) as error:
            frames = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
            ours = [file.relative_to(_PACKAGE) for file in frames if file.is_relative_to(_PACKAGE)]
            kind = f"{type(error).__name__} in {ours[-1] if ours else 'this test'}: {str(error)[:80]}"
        if kind and len(shown) < len(self.found.get(kind, shown + " ")):
            self.found[kind] = shown

    def check(self, least: int) -> None:
        assert self.tried >= least and self.refused > least / 4, (self.tried, self.refused)
        told = [f"{kind}\n      {shown[:300]!r}" for kind, shown in self.found.items()]
        if told:
            pytest.fail(f"{len(told)} kinds of failure of {self.tried} inputs:\n  " + "\n  ".join(told), pytrace=False)


# manifests

GOOD = manifest(FOLDER, paper_sizes={"A": {"train": 6}}).model_dump(mode="json", exclude_none=True)
GOOD_LISTED = GOOD | {
    "sources": [
        FOLDER
        | {
            "splits": {"train": "train/{file}", "test": "train/{file}"},
            "lists": {
                split: {
                    "tables": {"list.txt": ["file", "class"]},
                    "label": "{class}",
                    "label_pattern": "^(.+)$",
                    "where": {"class": list(CLASSES)},
                }
                for split in ("train", "test")
            },
        }
    ],
    "splits": {"train": 6, "test": 6},
    "paper_sizes": {},
}


def unsound_manifest(path: Path) -> str | None:
    """Loads a manifest and its images; what is wrong with them, or None."""
    found = load_manifest(path)
    if len(set(yaml_keys := duplicate_keys(path))) < len(yaml_keys):
        return "a key twice"
    if any(count < 1 for count in found.splits.values()) or (found.image_size or 1) < 1:
        return "a count or size below 1"
    if any(count < 1 for sizes in found.paper_sizes.values() for count in sizes.values()):
        return "a paper's size below 1"
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    if any(isinstance(raw["splits"][name], bool | str | float) for name in raw["splits"]):
        return f"a count that is {sorted({type(value).__name__ for value in raw['splits'].values()})}"
    images = load_images(found, "train")
    rename = getattr(found.sources[0], "rename", {})
    for image, label in zip(images, images.labels, strict=True):
        name = CLASSES[told(image)[0]]
        if rename.get(name, name) != images.class_names[label]:
            return f"{name} labelled {images.class_names[label]}"
    return None if len(images) == found.splits["train"] else "another number of images"


def duplicate_keys(path: Path) -> list:
    """(mapping, key) of every key in the file: one that is there twice counts twice."""
    root, found = yaml.compose(path.read_text(encoding="utf-8")), []

    def walk(node: Any) -> None:
        for child in node.value if isinstance(node, yaml.SequenceNode) else ():
            walk(child)
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            found.append((id(node), str(key.value)))
            walk(value)

    walk(root)
    return found


_BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{','.join(10 * [f'*{old}'])}]\n" for old, new in pairwise("abcdefgh")
)
BROKEN_MANIFESTS = [
    "splits: 2020-99-99",
    "splits: !!int abc",
    "[" * 3000,
    _BOMB,
    "- a\n- b",
    "",
    "\ufeff",
    "a: b: c",
    "name: x\nname: y",
    "&a [*a]",
]


def test_manifests(root):
    write_folders(root)
    listed = [f"{name}/{number}.png {name}" for name in CLASSES for number in range(2)]
    (root / "set" / "list.txt").write_text("\n".join(listed))
    draw, failures, path = random.Random(1), Failures(), root / "m.yaml"
    texts = [*BROKEN_MANIFESTS, *(yaml.safe_dump(good, sort_keys=False) for good in (GOOD, GOOD_LISTED))]
    for _ in range(380):
        tree = several(spoilt_tree, draw, draw.choice([GOOD, GOOD_LISTED]))
        texts.append(yaml.safe_dump(tree, sort_keys=False, allow_unicode=draw.random() < 0.5))
    datas = [text.encode(errors="surrogatepass") for text in texts]
    for _ in range(320):
        good = yaml.safe_dump(draw.choice([GOOD, GOOD_LISTED]), sort_keys=False).encode()
        datas.append(several(spoilt_bytes, draw, good))
    good = {line for facts in (GOOD, GOOD_LISTED) for line in yaml.safe_dump(facts, sort_keys=False).splitlines()}
    for data in datas:
        path.write_bytes(data)
        lines = data.decode(errors="replace").splitlines()
        shown = "\n".join(line for line in lines if line not in good or lines.count(line) > 3)
        failures.attempt(shown, lambda: unsound_manifest(path))
    failures.check(700)


# parameters


def whole(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


def between(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        above = value > low if open_low else value >= low
        return (
            type(value) is float and math.isfinite(value) and above and (value < high if open_high else value <= high)
        )

    return holds


def each(rule: Callable[[Any], bool], least: int = 1) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and len(value) >= least and all(map(rule, value))


def rising(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: each(rule, 2)(value) and value[0] <= value[1]


def one_of(*known: Any) -> Callable[[Any], bool]:
    return lambda value: value in known


def a_set(value: Any) -> bool:
    return value.partition(":")[0] in list_manifests()


share, positive = between(0, 1), between(0, math.inf, open_low=True)
# the last part of a field's name -> what its value must be; None is allowed where the type says so
RULES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("flip", "jitter", "greyscale", "erase", "cutout", "momentum", "drop_path"), share),
    **dict.fromkeys(("lr", "c", "clip_norm"), positive),
    **dict.fromkeys(("weight_decay", "warmup_lr"), between(0, math.inf)),
    **dict.fromkeys(("adam_beta", "ema", "validation_fraction"), between(0, 1, open_high=True)),
    **dict.fromkeys(("blur", "solarise"), each(share, 2)),
    **dict.fromkeys(("sets_a", "sets_b"), each(a_set, 0)),
    "layer_decay": between(0, 1, open_low=True),
    "crop_scale": rising(between(0, 1, open_low=True)),
    "crop_ratio": rising(positive),
    "jitter_strength": each(between(0, math.inf), 4),
    "c_values": each(positive),
    "checkpoint_epochs": each(whole(0), 0),
    "dataset": lambda value: a_set(value) and ":" not in value,
    "side": one_of("pre", "eval"),
    "backbone": one_of(*STAGES),
    "device": one_of(*DEVICES, *(f"cuda:{number}" for number in range(16))),
    "precision": one_of(*PRECISIONS),
}
TEXTS = [
    "",
    "null",
    "None",
    "~",
    "-1",
    "0",
    "1",
    "1.5",
    "-0.5",
    ".nan",
    ".inf",
    "-.inf",
    "1e999",
    "1e-3",
    "nope",
    "yes",
]
TEXTS += ["0b_", "1:30", "2020-99-99", "!!int abc", "!!python/object:os.system x", "[" * 3000, "[]", "[1]", "[nope]"]
TEXTS += ["[5, -1]", "[0.5, .nan]", "{}", "{a: 1}", "'3'", "3 # c", "float8", "tpu", "resnet9999", "\x1b[2J", "1" * 400]
TEXTS += ["&a [*a]", "[1, [2]]", "0x10", "0o7", "1_000", "9" * 30, "a\nb", "\x00", "\ud800"]


def unsound_parameter(assignment: str) -> str | None:
    given = parse_assignments([assignment])
    ((name, text),) = given.items()
    overrides = route({"nb": ["profile", "overrides"]}, given, profile="smoke")["nb"]["overrides"]
    profile = load_profile("smoke", **overrides)
    value: Any = profile
    for part in name.split("."):
        value = getattr(value, part)
    if ":" in text and type(value) is int:
        return "a count of sixty"
    if value is None:
        return None if type(None) in get_args(override_fields()[name]) else "None"
    rule = RULES.get(name.rpartition(".")[2], lambda value: type(value) is not float or math.isfinite(value))
    return None if rule(value) else f"{name.rpartition('.')[2]} out of its range"


def test_parameters():
    draw, failures, fields = random.Random(2), Failures(), sorted(override_fields())
    default: Any
    for name in fields:
        default = SMOKE
        for part in name.split("."):
            default = getattr(default, part)
        good = json.dumps(default)
        failures.attempt(f"{name}={good}", lambda: unsound_parameter(f"{name}={good}"))  # noqa: B023
        texts = [draw.choice(TEXTS) for _ in range(9)]
        texts += [several(spoilt_bytes, draw, good.encode()).decode(errors="replace") for _ in range(2)]
        for text in texts:
            failures.attempt(f"{name}={text}", lambda: unsound_parameter(f"{name}={text}"))  # noqa: B023
    for given in ("", "=", "a", "lr", "lr=", "=3", "a.b=1", "recipe=1", "lr.lr=1", "profile=x", "overrides={}", "é=1"):
        failures.attempt(given, lambda: unsound_parameter(given))  # noqa: B023
    failures.check(700)


# records

SPEC = {"run": "a", "epoch": 3, "how": {"size": 8, "names": ["a", "b"]}}
RESULT = {"accuracy": 71.5}


def unsound_record(store: Store) -> str | None:
    """Reads the one artefact of the store in every way; what is wrong with what came, or None."""
    listed = {artefact.key for artefact in store.artefacts()}
    artefact = store.find("scores", SPEC)
    if artefact is None:
        return "an artefact is gone"
    if artefact.spec != SPEC or listed != {artefact.key}:
        return "another specification"
    if json.loads(artefact.file("result.json").read_text()) != RESULT:
        return "another result"
    if not isinstance(artefact.provenance, dict) or not isinstance(artefact.provenance["date"], str):
        return f"a provenance of {type(artefact.provenance).__name__}"
    by_key = store.by_key("scores", artefact.key)
    return None if by_key == artefact and store.remember("scores", SPEC, dict) == RESULT else "another by its key"


def test_records(tmp_path):
    draw, failures, store = random.Random(3), Failures(), Store(tmp_path, read_only=False)
    store.remember("scores", SPEC, lambda: RESULT)
    (record,) = tmp_path.glob("scores/*/artefact.json")
    result = record.with_name("result.json")
    good, good_result = record.read_bytes(), result.read_bytes()
    datas = [b"[1]", b"null", b"1", b'""', b"{}", b"", b"\xff", b"[" * 100_000, b'{"spec": null}', b"NaN", good]
    for _ in range(300):
        datas.append(json.dumps(several(spoilt_tree, draw, json.loads(good))).encode())
    datas += [several(spoilt_bytes, draw, good) for _ in range(150)]
    for data in datas:
        record.write_bytes(data)
        failures.attempt(data.decode(errors="replace"), lambda: unsound_record(store))
    record.write_bytes(good)
    for _ in range(40):
        result.write_bytes(several(spoilt_bytes, draw, good_result))
        failures.attempt(f"result.json: {result.read_bytes()!r}", lambda: unsound_record(store))
    failures.check(500)


# checkpoints

ARCHITECTURE = "narrow_resnet"
TENSORS: list[Callable[[torch.Tensor], Any]] = [
    lambda tensor: tensor.to(torch.int8),
    lambda tensor: tensor > 0,
    lambda tensor: tensor.to(torch.complex64),
    lambda tensor: torch.full_like(tensor, 1e300, dtype=torch.float64),
    lambda tensor: tensor.double(),
    lambda tensor: tensor.half(),
    lambda tensor: torch.full_like(tensor, math.nan),
    lambda tensor: torch.full_like(tensor, math.inf),
    lambda tensor: tensor.to(torch.float8_e4m3fn),
    lambda tensor: tensor.to("meta"),
    lambda tensor: tensor.float().to_sparse(),
    lambda tensor: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
    lambda tensor: tensor.float().flatten(),
    lambda tensor: tensor.float()[None],
    lambda tensor: tensor.float()[:0] if tensor.ndim else tensor,
    lambda tensor: torch.nn.Parameter(tensor.float()),
    lambda tensor: tensor.tolist(),
    lambda tensor: tensor.numpy(),
    lambda tensor: None,
    lambda tensor: "weights",
]


def unsound_checkpoint(path: Path, expected: dict[str, torch.Tensor]) -> str | None:
    model = from_checkpoint(path, ARCHITECTURE, image_size=32).backbone.model
    state = model.state_dict()
    if {name: tensor.shape for name, tensor in state.items()} != {n: tensor.shape for n, tensor in expected.items()}:
        return "other shapes"
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        return "values that are not finite"
    huge = any(state[name].abs().max() > 1e4 * (1 + expected[name].abs().max()) for name in expected)
    return "a huge weight, of a file whose own checksums tell that it is damaged" if huge else None


def kinds_of(layout: Any) -> set[str]:
    """Of the tensors in it that are more than a counter."""
    if isinstance(layout, torch.Tensor):
        return {f"{layout.dtype} {layout.layout} {layout.device}"} if layout.numel() > 1 else set()
    parts = layout.values() if isinstance(layout, dict) else layout if isinstance(layout, list | tuple) else ()
    return set().union(*map(kinds_of, parts))


def unsound_layout(path: Path, expected: dict[str, torch.Tensor], layout: Any) -> str | None:
    plain = {f"{kind} torch.strided cpu" for kind in (torch.float16, torch.float32, torch.float64)}
    wrong = unsound_checkpoint(path, expected)
    return wrong or ", ".join(sorted(kinds_of(layout) - plain)) or None


def spoilt_layout(state: dict, draw: random.Random) -> Any:
    """A checkpoint as someone may have written it: nested, renamed, with strays, or with tensors of another kind."""
    state = dict(state)
    for _ in range(draw.choice([1, 1, 2])):
        name = draw.choice([name for name in state if isinstance(name, str) and not name.endswith("_tracked")])
        how = draw.choice(["tensor", "tensor", "tensor", "remove", "rename", "key", "nest", "stray"])
        if how == "tensor":
            state[name] = draw.choice(TENSORS)(state[name]) if isinstance(state[name], torch.Tensor) else state[name]
        elif how == "remove":
            del state[name]
        elif how == "rename":
            state[f"x.{name}"] = state.pop(name)
        elif how == "key":
            state[draw.choice([3, None, ("a", 1), "", "\x1b", "é"])] = state[name]
        elif how == "stray":
            state[draw.choice(["epoch", "fc.weight", "rng", "best_acc1"])] = draw.choice([3, torch.zeros(2), None, [1]])
    prefix = draw.choice(["", "", "module.", "backbone.", "_orig_mod.", "a.b."])
    state = {prefix + name if isinstance(name, str) else name: value for name, value in state.items()}
    layers = {"state_dict": state, "epoch": 3, "best_acc1": torch.tensor(70.0)}
    return draw.choice([state, {"model": state}, layers, {"a": {"b": {"c": state}}}, [state], (state, 3), {"m": {}}])


@pytest.mark.filterwarnings("ignore:torch.quantize")
def test_checkpoints(tmp_path):
    torch.manual_seed(0)
    state = create_backbone(ARCHITECTURE, image_size=32).model.state_dict()
    draw, failures, path = random.Random(4), Failures(), tmp_path / "model.pt"
    torch.save(state, path)
    zipped, safe = path.read_bytes(), safetensors_bytes(state)
    texts = [
        b"",
        b"P",
        b"PK\x03\x04",
        b"\x80\x02",
        b"{}",
        b"<!DOCTYPE html><html>",
        b"version https://git-lfs.github.com",
    ]
    for data in [zipped, safe, *texts]:
        path.write_bytes(data)
        failures.attempt(f"{data[:40]!r} ...", lambda: unsound_checkpoint(path, state))
    header = 8 + int.from_bytes(safe[:8], "little")
    for _ in range(120):  # the header: of the weights themselves such a file has no checksum
        data = several(spoilt_bytes, draw, safe[:header]) + safe[header : len(safe) - draw.choice([0, 0, 0, 1, 100])]
        path.write_bytes(data)
        failures.attempt(f"safetensors, {data[:200]!r}", lambda: unsound_checkpoint(path, state))
    for _ in range(80):
        path.write_bytes(several(spoilt_bytes, draw, zipped))
        failures.attempt("a torch file, spoilt bytes", lambda: unsound_checkpoint(path, state))
    for _ in range(150):
        layout = spoilt_layout(state, draw)
        try:
            torch.save(layout, path)
        except Exception:  # what cannot be written cannot be met
            continue
        failures.attempt(described(layout, state), lambda: unsound_layout(path, state, layout))  # noqa: B023
    failures.check(320)


def test_images():
    draw, failures = random.Random(5), Failures()
    picture, goods = Image.fromarray(pixels(1, 2)).resize((24, 16)), []
    for form in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"):
        buffer, exif = io.BytesIO(), Image.Exif()
        exif[274] = 6
        picture.save(buffer, form, **({"exif": exif} if form in ("PNG", "JPEG", "WEBP", "TIFF") else {}))
        goods.append(buffer.getvalue())

    def unsound_image(data: bytes) -> str | None:
        follows_rule(data)
        image = rgb(open_image(io.BytesIO(data), "an image"))
        return None if image.mode == "RGB" and min(image.size) > 0 else f"{image.mode} of {image.size}"

    for number in range(360):
        data = several(spoilt_bytes, draw, goods[number % len(goods)])
        failures.attempt(f"{data[:60]!r}", lambda: unsound_image(data))  # noqa: B023
    failures.check(360)


def described(layout: Any, state: dict) -> str:
    """What of a layout is not as `state` has it."""
    if isinstance(layout, dict):
        parts = {
            name: f"{value.dtype} {tuple(value.shape)}" if isinstance(value, torch.Tensor) else described(value, state)
            for name, value in layout.items()
            if not (isinstance(value, torch.Tensor) and any(value is tensor for tensor in state.values()))
        }
        return f"{type(layout).__name__} of {len(layout)} entries, {parts}"
    return f"{type(layout).__name__} {str(layout)[:60]}"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder that holds all data."""
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    return tmp_path
