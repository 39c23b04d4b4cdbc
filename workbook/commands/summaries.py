"""What `workbook store list` says of an artefact: one line, in which runs have names."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from workbook.artefacts import Artefact, Entry
from workbook.pretraining.names import recipe_name
from workbook.store import PASSING

# what tells one artefact of a kind from another
_SUMMARIES = {
    "measures": "{measure} of {features}",
    "diversity": "of {origin}{at}",
    "maps": "{embedding[kind]} of {features}",
    "probes": "{layer} of {train}",
    "cka": "of {x} with {y}",
    "features": "{layers} of {run}, epoch {epoch}",
    "readouts": "{layer} of {features}",
    "scores": "{protocol} of {features}",
    "accuracies": "of {run}, epoch {epoch}",
    "detectors": "on {data}, seed {recipe[seed]}, from {origin}",
    "detections": "by step {step} of a detector, seed {detector[recipe][seed]}, on {scenes}",
    "detection_probes": "on {test}, seed {recipe[seed]}, of {origin}",
    "weights": "{layers} of {origin}",
}
_OTHER_VERSION = (KeyError, IndexError, TypeError, AttributeError)  # what its specification raises here
# what a specification has keys of -> what lies under them
_NAMED = {"run": "run", "x": "run", "y": "run", "features": "features", "train": "features"}


def records_of(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Of each its key, kind, megabytes, state (whole, unfinished or DAMAGED), date ("" if not whole), and about."""
    names = _names([entry.artefact for entry in entries if entry.artefact])
    found = []
    for entry in entries:
        record: dict[str, Any] = {"key": entry.key, "kind": entry.kind, "megabytes": entry.megabytes}
        if artefact := entry.artefact:
            without = f" (without {', '.join(artefact.left_out)})" if artefact.left_out else ""
            record |= {"state": "whole", "date": artefact.provenance["date"]}
            record["about"] = _about(artefact, names) + without
        else:
            record |= {"state": "unfinished" if entry.unfinished else "DAMAGED", "date": ""}
            record["about"] = entry.problem or "goes on when its work is asked for again"
        found.append(record)
    return found


def _names(artefacts: Sequence[Artefact]) -> dict[str, str]:
    """The key of a run, or of a run's features -> what it is called in what was made from it."""
    runs: dict[str, str] = {}
    features: dict[str, str] = {}
    for artefact in artefacts:
        with suppress(*_OTHER_VERSION):
            if artefact.kind == "runs":
                recipe = artefact.spec["recipe"]
                runs[artefact.key] = f"{recipe_name(recipe)}, seed {recipe['seed']}"
    for artefact in artefacts:
        if _kind(artefact) == "features" and (run := runs.get(str(artefact.spec.get("run")))):
            features[artefact.key] = f"{run}, epoch {artefact.spec.get('epoch')}"
    return runs | features


def _kind(artefact: Artefact) -> str:
    """As `_SUMMARIES` has it: features that go when their probes are stored are features, too."""
    return "features" if artefact.kind == PASSING else artefact.kind


def _about(artefact: Artefact, names: Mapping[str, str]) -> str:
    """One line of an artefact; of one that is not known here, all that is short."""
    spec, kind = artefact.spec, _kind(artefact)
    with suppress(*_OTHER_VERSION):
        if kind == "runs":
            return _of_run(spec["recipe"], names)
        if known := _SUMMARIES.get("weights" if kind == "features" and "weights" in spec else kind):
            layers = ", ".join(spec.get("extraction", {}).get("layers", ("features",)))
            named = {name: _called(name, spec[name], artefact.of, names) for name in _NAMED if name in spec}
            at = f", epoch {spec['epoch']}" if "epoch" in spec else ""
            named |= {"layers": layers, "origin": _origin(artefact, names), "at": at}
            named |= {"measure": spec.get("measure", "all measures")}
            return known.format(**spec | named)
    return ", ".join(f"{name} {value}" for name, value in spec.items() if isinstance(value, str | int | float))


def _origin(artefact: Artefact, names: Mapping[str, str]) -> str:
    """Whose weights it is of: a run's, or a network's from outside, which the specification has within it or is."""
    spec = artefact.spec
    parts = (spec.get("backbone"), spec.get("weights"))
    network = next((part for part in parts if isinstance(part, Mapping)), spec)
    outside = f"weights from outside, {network.get('architecture')}, {network.get('weights')}"
    return ", ".join(names[key] for key in artefact.of if key in names) or outside


def _of_run(recipe: Mapping[str, Any], names: Mapping[str, str]) -> str:
    start = recipe.get("start")
    origin = f", from {_called('run', start['run'], (), names) if start.get('run') else 'a file'}" if start else ""
    return f"{recipe_name(recipe)} on {recipe['dataset']}, {recipe['backbone']}, seed {recipe['seed']}{origin}"


def _called(name: str, keys: str | Sequence[str], of: Sequence[str], names: Mapping[str, str]) -> str:
    """What lies under these keys; of features that are no longer stored, the runs that they were of."""
    keys = [keys] if isinstance(keys, str) else keys
    found = [names[key] for key in keys if key in names]
    if _NAMED[name] == "features" and not found:
        found = [names[key] for key in of if key in names]
    return ", ".join(dict.fromkeys(found)) or f"{_NAMED[name]} {', '.join(keys)}"
