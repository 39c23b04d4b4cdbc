"""Which of a file's weights are those of an architecture: by name, then by shape and kind of number."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbook.errors import CheckpointError
from workbook.models.weight_files import some

# Buffers of batch norm that count steps: no weight, and older files lack them.
_COUNTERS = "num_batches_tracked"
# What torch.compile, activation checkpointing and FSDP put into the names of what they wrap.
_WRAPPERS = re.compile(r"(^|\.)((_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)\.)+")
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


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
    model: Any,
    sets: _Sets,
    path: Path,
    architecture: str,
    *,
    part: str | None = None,
    prefix: str | None = None,
) -> tuple[str, ...]:
    """Puts into the model the one of the sets that has all its names; what was done, one sentence each.

    sets: see `read_weights`. part: the way to the set, or the beginning of it; prefix: what stands before the names;
    None finds them. Raises CheckpointError where no set fits or several do, for a weight that is missing, has another
    shape, is no plain array of floats or not finite, and for weights of a larger model.
    """
    chosen = _choose(model, _within(sets, part, path), path, architecture, prefix)
    wanted = model.state_dict()
    _refuse_larger(chosen, wanted, path, architecture)
    values = {name: _cast(tensor, wanted[name], name, path, architecture) for name, tensor in _own(chosen, wanted)}
    model.load_state_dict(values, strict=len(values) == len(wanted))
    return _notes(chosen, sets, values, path)


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
    if len(whole) == 1:
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
        # the ResNets for CIFAR that began with kuangliu's
        '"shortcut" stands for "downsample"': {name: name.replace(".downsample.", ".shortcut.") for name in names},
    }
    return {words: theirs for words, theirs in spelled.items() if not words or theirs != spelled[""]}


def _own(chosen: _Candidate, wanted: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The file's tensor of each of the model's names; a counter that is missing, or was averaged, stays as it is."""
    pairs = [(name, chosen.tensor(name)) for name in wanted]
    return [(n, t) for n, t in pairs if t is not None and not (n.endswith(_COUNTERS) and t.dtype not in _WHOLE)]


def _cast(tensor: Tensor, wanted: Tensor, name: str, path: Path, architecture: str) -> Tensor:
    """The file's tensor as the model's own kind of number."""
    kinds = _FLOATS if wanted.is_floating_point() else _WHOLE
    plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_nested
    if not plain or tensor.is_meta or tensor.dtype not in kinds:
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


def _refuse_larger(chosen: _Candidate, wanted: Mapping[str, Tensor], path: Path, architecture: str) -> None:
    """Refuses weights within the model's numbered blocks that it has not: without them, it would be another network."""
    blocks = {chosen.spelled[name].split(".")[0] for name in wanted if re.search(r"\.\d+\.", name)}
    more = [
        name
        for name in _unused(chosen)
        if name.startswith(chosen.prefix)
        and name.removeprefix(chosen.prefix).split(".")[0] in blocks
        and chosen.weights[name].dtype in _FLOATS
        and not name.endswith("attn_mask")  # of a Swin, made anew by each
    ]
    if more:
        raise CheckpointError(
            f"{path} is a larger model than {architecture}: within the blocks of it there are {len(more)} weights that "
            f"it has not ({some(more)}). Name another architecture"
        )


def _unused(chosen: _Candidate) -> list[str]:
    used = {chosen.prefix + spelled for spelled in chosen.spelled.values()}
    return [name for name in chosen.weights if name not in used]


def _notes(chosen: _Candidate, sets: _Sets, values: Mapping[str, Tensor], path: Path) -> tuple[str, ...]:
    missing, unused = len(chosen.spelled) - len(values), _unused(chosen)
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
        f"not used: {len(unused)} other entries ({some(unused)})": unused,
        f"not used: the file's other parts with tensors ({some(others)})": others,
    }
    return tuple(note for note, holds in notes.items() if holds)
