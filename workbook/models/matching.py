"""Which of a file's weights are those of an architecture: by name, then by shape and kind of number."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbook.errors import CheckpointError
from workbook.models.heads import linear
from workbook.models.pretrained import Untrained
from workbook.models.weight_files import some

# Buffers of batch norm that count steps: no weight, and older files lack them.
_COUNTERS = "num_batches_tracked"
# What torch.compile, activation checkpointing and FSDP put into the names of what they wrap.
_WRAPPERS = re.compile(r"(^|\.)((_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)\.)+")
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
# In words, how others call modules -> what is replaced in the architecture's names, and by what.
_SPELLINGS = {
    # the ResNets for CIFAR that began with kuangliu's
    '"shortcut" stands for "downsample"': {r"\.downsample\.": ".shortcut."},
    # a ViT of mmpretrain and what came before it
    'its modules are called as in mmpretrain ("ln1" stands for "norm1")': {
        r"^patch_embed\.proj\.": "patch_embed.projection.",
        r"^norm\.": "ln1.",
        r"^blocks\.": "layers.",
        r"\.norm([12])\.": r".ln\1.",
        r"\.mlp\.fc1\.": ".ffn.layers.0.0.",
        r"\.mlp\.fc2\.": ".ffn.layers.1.",
    },
    # a DenseNet as torchvision's old files have it
    '"norm.1" stands for "norm1"': {r"(denselayer\d+\.(?:norm|conv))([12])\.": r"\1.\2."},
}

_Sets = Mapping[str, Mapping[str, Tensor]]  # see `read_weights`


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """One place in a file where the names of an architecture stand."""

    way: str  # through the file's entries
    prefix: str  # before the names
    spelling: str  # how they differ from the architecture's, in words; "" where they do not
    spelled: Mapping[str, str] = field(repr=False)  # the architecture's name -> as the file spells it
    weights: Mapping[str, Tensor] = field(repr=False)  # everything at that place
    found: int  # how many of the architecture's names

    def tensor(self, name: str) -> Tensor | None:
        return self.weights.get(self.prefix + self.spelled[name])


def load_weights(
    network: Untrained,
    sets: _Sets,
    path: Path,
    *,
    part: str | None = None,
    prefix: str | None = None,
) -> tuple[tuple[str, ...], nn.Linear | None]:
    """Puts into the network the one of the sets that has all its names; what was done, one sentence each, and the head.

    sets: see `read_weights`. part: the way to the set, or the beginning of it; prefix: what stands before the names;
    None finds them. Raises CheckpointError where no set fits or several do, for a weight that is missing, has another
    shape, is no plain array of floats or not finite, and for weights of a larger model.
    """
    model, architecture = network.backbone.model, network.architecture
    chosen = _choose(model, _within(sets, part, path), path, architecture, prefix)
    wanted = model.state_dict()
    _refuse_larger(chosen, wanted, path, network)
    values = {name: _cast(tensor, wanted[name], name, path, architecture) for name, tensor in _own(chosen, wanted)}
    model.load_state_dict(values, strict=len(values) == len(wanted))
    head = _head_name(chosen, network)
    return _notes(chosen, sets, values, head, path), linear(*_linear_at(chosen, head)) if head else None


def _within(sets: _Sets, part: str | None, path: Path) -> _Sets:
    if part is None:
        return sets
    chosen = {way: weights for way, weights in sets.items() if way == part or way.startswith(f"{part}.")}
    if not chosen:
        ways = some(way or "its top" for way in sets)
        raise CheckpointError(f"{path} has no part {part!r} with weights; it has {ways}")
    return chosen


def _choose(model: nn.Module, sets: _Sets, path: Path, architecture: str, prefix: str | None) -> _Candidate:
    wanted = model.state_dict()
    needed = [name for name in wanted if not name.endswith(_COUNTERS)]
    candidates = [each for way, weights in sets.items() for each in _candidates(model, way, weights, prefix)]
    whole = [each for each in candidates if each.found == len(needed)]
    if whole and all(_same(whole[0], each, wanted) for each in whole[1:]):  # one module saved under several names
        return whole[0]
    if len({each.way for each in whole}) > 1:
        ways = ", ".join(dict.fromkeys(each.way or '""' for each in whole))
        raise CheckpointError(f"{path} has several sets of weights of {architecture}: choose one as part: {ways}")
    if whole:
        prefixes = ", ".join(each.prefix or '""' for each in whole)
        raise CheckpointError(f"{path} has several {architecture}: choose one by its prefix: {prefixes}")
    names = some(sets[max(sets, key=lambda way: len(sets[way]))])
    if not candidates:
        before = f" after the prefix {prefix!r}" if prefix else ""
        raise CheckpointError(
            f"{path} has none of the weights of {architecture} ({some(wanted)}){before}; its own are called {names}. "
            "Name another architecture" + (", prefix or part" if prefix else "")
        )
    best = max(candidates, key=lambda each: each.found)
    missing = [name for name in needed if best.tensor(name) is None]
    raise CheckpointError(
        f"{path} is no whole {architecture}: {len(missing)} of {len(wanted)} weights are missing "
        f"({some(missing)}){f' in its part {best.way}' if best.way else ''}; its own are called {some(best.weights)}. "
        "Name another architecture or prefix"
    )


def _same(one: _Candidate, other: _Candidate, wanted: Mapping[str, Tensor]) -> bool:
    """Whether both have the very same weights."""
    for name, form in wanted.items():
        pair = [tensor for each in (one, other) if (tensor := each.tensor(name)) is not None]
        if not all(_is_plain(tensor, _FLOATS + _WHOLE) and tensor.shape == form.shape for tensor in pair):
            return False
        if len(pair) == 2 and not torch.equal(*pair):
            return False
    return True


def _candidates(model: nn.Module, way: str, weights: Mapping[str, Tensor], prefix: str | None) -> list[_Candidate]:
    """Every prefix under which some of the model's names stand here, in each way to spell them."""
    bare = {_unwrapped(name): tensor for name, tensor in weights.items()}
    asked = prefix and _unwrapped(prefix)
    if len(bare) < len(weights):  # wrapped and not: the names tell them apart
        bare, asked = dict(weights), prefix
    found = []
    for spelling, spelled in _spellings(model).items():
        needed = {theirs for name, theirs in spelled.items() if not name.endswith(_COUNTERS)}
        counts = Counter(before for name in bare for before in _prefixes(name, needed))
        shared: dict[str, Any] = {"way": way, "spelling": spelling, "spelled": spelled, "weights": bare}
        fitting = [before for before in counts if asked in (None, before)]
        found += [_Candidate(prefix=before, found=counts[before], **shared) for before in fitting]
    return found


def _unwrapped(name: str) -> str:
    return _WRAPPERS.sub(r"\1", name)


def _prefixes(name: str, known: set[str]) -> Iterable[str]:
    """Every way to cut the name where a module's name may begin, so that what is left is known."""
    cuts = [0, *(position + 1 for position, letter in enumerate(name) if letter == ".")]
    return [name[:cut] for cut in cuts if name[cut:] in known]


def _spellings(model: nn.Module) -> dict[str, dict[str, str]]:
    """In words, how others call the same weights: the model's name -> theirs."""
    names = list(model.state_dict())
    numbers = {name: str(number) for number, (name, _) in enumerate(model.named_children())}
    spelled = {
        "": {name: name for name in names},
        # a ResNet cut into nn.Sequential, as SimCLR's and lightly's examples do
        "numbers stand for the names of its modules": {
            name: ".".join([numbers.get(first, first), *rest]) for name in names for first, *rest in [name.split(".")]
        },
        **{words: {name: _respelled(name, rules) for name in names} for words, rules in _SPELLINGS.items()},
    }
    return {words: theirs for words, theirs in spelled.items() if not words or theirs != spelled[""]}


def _respelled(name: str, rules: Mapping[str, str]) -> str:
    for ours, theirs in rules.items():
        name = re.sub(ours, theirs, name)
    return name


def _own(chosen: _Candidate, wanted: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The file's tensor of each of the model's names; a counter that is missing, or was averaged, stays as it is."""
    pairs = [(name, chosen.tensor(name)) for name in wanted]
    return [(n, t) for n, t in pairs if t is not None and not (n.endswith(_COUNTERS) and t.dtype not in _WHOLE)]


def _cast(tensor: Tensor, wanted: Tensor, name: str, path: Path, architecture: str) -> Tensor:
    """The file's tensor as the model's own kind of number."""
    if not _is_plain(tensor, _FLOATS if wanted.is_floating_point() else _WHOLE):
        kind = "floating-point numbers of 16, 32 or 64 bits" if wanted.is_floating_point() else "whole numbers"
        form = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        got = "a meta tensor, without values" if tensor.is_meta else f"{tensor.dtype}, {form}"
        raise CheckpointError(f"{path}: {name} must be a plain array of {kind}, got {got}: save the weights as such")
    if tensor.shape != wanted.shape:
        raise CheckpointError(
            f"{path} is another architecture than {architecture}: {name} has shape {tuple(tensor.shape)}, "
            f"not {tuple(wanted.shape)} (of a transformer, the image size may differ; a first convolution of 3 x 3 is "
            "a small stem)"
        )
    value = tensor.detach().to(wanted.dtype)
    if not torch.isfinite(value).all():
        bad, beyond = int((~torch.isfinite(value)).sum()), f" as {wanted.dtype}" if tensor.dtype != value.dtype else ""
        raise CheckpointError(
            f"{path}: {bad} values of {name} are not finite{beyond}; this model diverged, or is damaged"
        )
    return value


def _is_plain(tensor: Tensor, kinds: Sequence[torch.dtype]) -> bool:
    """Whether its values are there, one beside the other, as numbers of one of these kinds."""
    plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_nested
    return plain and not tensor.is_meta and tensor.dtype in kinds


def _refuse_larger(chosen: _Candidate, wanted: Mapping[str, Tensor], path: Path, network: Untrained) -> None:
    """Refuses weights within the model's numbered blocks that it has not: without them, it would be another network."""
    blocks = {chosen.spelled[name].split(".")[0] for name in wanted if re.search(r"\.\d+\.", name)}
    classifier = f"{chosen.prefix}{network.classifier}."
    more = [
        name
        for name in _unused(chosen)
        if name.startswith(chosen.prefix)
        and not name.startswith(classifier)
        and name.removeprefix(chosen.prefix).split(".")[0] in blocks
        and chosen.weights[name].dtype in _FLOATS
        and not name.endswith("attn_mask")  # of a Swin, made anew by each
    ]
    if more:
        raise CheckpointError(
            f"{path} is a larger model than {network.architecture}: within the blocks of it there are {len(more)} "
            f"weights that it has not ({some(more)}). Name another architecture"
        )


def _unused(chosen: _Candidate) -> list[str]:
    used = {chosen.prefix + spelled for spelled in chosen.spelled.values()}
    return [name for name in chosen.weights if name not in used]


def _head_name(chosen: _Candidate, network: Untrained) -> str:
    """Where the file has a classifier that reads the network's features; "" where it has none.

    It stands where the architecture has its own, or is the one layer that is left. In a file with two encoders of one
    form the layer is the projection that they are compared by, and no classifier.
    """
    left = [name for name in _unused(chosen) if not name.endswith(_COUNTERS)]
    own, alone = chosen.prefix + network.classifier, {name.rpartition(".")[0] for name in left}
    twins = [name for name in left if f".{name}".endswith(f".{network.classifier}.weight")]
    found = own if network.classifier and twins == [f"{own}.weight"] else alone.pop() if len(alone) == 1 else ""
    weight, bias = _linear_at(chosen, found)
    kinds = [tensor for tensor in (weight, bias) if tensor is not None]
    if weight is None or not all(_is_plain(tensor, _FLOATS) and tensor.isfinite().all() for tensor in kinds):
        return ""
    classes, *rest = weight.shape or (0,)
    fits = rest in ([network.backbone.num_features], [network.backbone.num_features, 1, 1]) and classes > 1
    return found if fits and (bias is None or bias.shape == (classes,)) else ""


def _linear_at(chosen: _Candidate, name: str) -> tuple[Any, Tensor | None]:
    """Weight and bias of a layer at this place in the file; None for what is not there."""
    return chosen.weights.get(f"{name}.weight"), chosen.weights.get(f"{name}.bias")


def _notes(chosen: _Candidate, sets: _Sets, values: Mapping[str, Tensor], head: str, path: Path) -> tuple[str, ...]:
    missing = len(chosen.spelled) - len(values)
    unused = [name for name in _unused(chosen) if not head or name not in (f"{head}.weight", f"{head}.bias")]
    classes = len(_linear_at(chosen, head)[0]) if head else 0
    others = [way or "its top" for way in sets if way != chosen.way]
    kinds = {str(tensor.dtype) for name in values if (tensor := chosen.tensor(name)) is not None}
    narrow = ", ".join(sorted(kinds - {"torch.float32", "torch.int64"}))
    notes = {
        f"{len(values)} entries of {path.name} are the backbone": True,
        f'they are its part "{chosen.way}"': chosen.way,
        f'"{chosen.prefix}" stands before their names': chosen.prefix,
        f"{chosen.spelling} in the file": chosen.spelling,
        f"they came as {narrow}": narrow,
        f"not in the file: {missing} step counters of batch norm": missing,
        f"kept as the head: {head}, {classes:,} classes": head,
        f"not used: {len(unused)} other entries ({some(unused)})": unused,
        f"not used: the file's other parts with tensors ({some(others)})": others,
    }
    return tuple(note for note, holds in notes.items() if holds)
