"""A manifest as Croissant 1.0: metadata that data set search and loaders read (mlcommons.org/croissant)."""

import mimetypes
import re
from collections.abc import Iterator, Sequence
from typing import Any

from workbook.data.manifests import Manifest
from workbook.data.source_kinds import (
    ArraySource,
    CocoSource,
    FolderSource,
    GeneratedSource,
    HubDownload,
    ManyLabels,
    MosaicSource,
    ParquetSource,
    SklearnSource,
    Source,
    TorchvisionSource,
)

_COPY = {"@id": "copy"}
_CONTENT = {"fileProperty": "content"}
_BYTES = "application/octet-stream"
# what the hub's own metadata says of a folder or repository, for which Croissant defines no checksum
_NO_CHECKSUM = "https://github.com/mlcommons/croissant/issues/80"
_OWN = {"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/"}
_OWN |= {"cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo"}
_OWN |= {"rai": "http://mlcommons.org/croissant/RAI/"}
_WORDS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
_TYPED: dict[str, Any] = {name: {"@id": f"cr:{name}", "@type": "@json"} for name in ("data", "examples")}
_TYPED["dataType"] = {"@id": "cr:dataType", "@type": "@vocab"}
_CONTEXT = _OWN | {name: f"cr:{name}" for name in _WORDS} | _TYPED


def croissant(manifest: Manifest) -> dict[str, Any]:
    """JSON-LD of the first copy that the manifest names: its files, a record set of images and labels for each of its
    splits, the sizes of the manifest's own splits, and the classes where they are named.

    Where a copy needs code to be read (torchvision's classes, arrays, lists beside the images), the fields name the
    files that hold images and labels, and their description says how.
    """
    source = manifest.sources[0]
    rule = f" Of {manifest.holdout.of!r}, {manifest.holdout.rule}." if manifest.holdout else ""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.name,
        "description": f"{manifest.title}: images of {manifest.class_count} classes, for {manifest.task}.{rule}",
        "license": manifest.licence,
        "url": manifest.url,
        "citeAs": manifest.citation,
        "distribution": list(_distribution(manifest, source)),
        "recordSet": [_splits(manifest), *_classes(manifest), *(_images(source, split) for split in source.splits)],
    }


def _distribution(manifest: Manifest, source: Source) -> Iterator[dict[str, Any]]:
    root = getattr(source, "root", "")
    hubs = [way for way in manifest.downloads if isinstance(way, HubDownload) and way.root == root]
    url = f"https://huggingface.co/datasets/{hubs[0].repository}" if hubs else manifest.url
    form = "git+https" if hubs else "text/html"
    yield _object("copy", url, form, sha256=_NO_CHECKSUM, description=_told_ways(manifest))
    for name, checksum in getattr(source, "checksums", {}).items():
        algorithm, _, digest = checksum.partition(":")
        form = mimetypes.guess_type(name)[0] or _BYTES
        yield _object(_id("file", name), name, form, containedIn=_COPY, **{algorithm: digest})
    for split in source.splits:
        if found := _files(source, split):
            patterns, form = found
            more = {"containedIn": _COPY, "encodingFormat": form, "includes": list(patterns)}
            yield {"@type": "cr:FileSet", "@id": f"{split}-files", "name": f"{split}-files"} | more


def _told_ways(manifest: Manifest) -> str:
    by_hand = manifest.obtain.replace("{data_root}", "the data root")
    return ". By hand: ".join(filter(None, (" or ".join(way.told for way in manifest.downloads), by_hand)))


def _object(name: str, url: str, form: str, **more: Any) -> dict[str, Any]:
    head = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": url, "encodingFormat": form}
    return head | more


def _id(*parts: str) -> str:
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-")


def _files(source: Source, split: str) -> tuple[Sequence[str], str] | None:
    """The patterns of a split's images, and of what lists their labels, below the copy, and their form; None where the
    images are made, or part of a library."""
    match source:
        case ParquetSource():
            return source.splits[split], "application/x-parquet"
        case FolderSource():
            images = [re.sub(r"\{([^}]+)\}", _braces, pattern) for pattern in source.splits[split]]
            listed = list(source.lists[split].tables) if split in source.lists else []
            return images + listed, _BYTES if listed else "image/*"
        case ArraySource():
            files = source.splits[split]
            return list(dict.fromkeys(name.partition(":")[0] for name in (files.images, files.labels))), _BYTES
        case TorchvisionSource():
            return ["**"], _BYTES
        case CocoSource():
            return [f"{source.splits[split].images}/*", source.splits[split].annotations], _BYTES
    return None


def _braces(found: re.Match[str]) -> str:
    """A class's folders as they are; the column of a list, any file."""
    return found[1] if "*" in found[1] else "**"


def _images(source: Source, split: str) -> dict[str, Any]:
    fields = {"image": ("sc:ImageObject", _image(source, split)), "label": ("sc:Text", _label(source, split))}
    told = {"image": "The image.", "label": _label_told(source, split)}
    found = [_field(split, name, kind, told[name], source=at) for name, (kind, at) in fields.items()]
    if isinstance(source, ManyLabels):
        found[1]["repeated"] = True
    return _records(split, found)


def _image(source: Source, split: str) -> dict[str, Any]:
    return _at(source, split, {"column": source.image} if isinstance(source, ParquetSource) else _CONTENT)


def _label(source: Source, split: str) -> dict[str, Any]:
    if isinstance(source, ParquetSource):
        return _at(source, split, {"column": source.label})
    if isinstance(source, FolderSource) and split not in source.lists:
        patterns = "|".join(map(_expression, source.splits[split]))
        return _at(source, split, {"fileProperty": "fullpath"}) | {"transform": {"regex": patterns}}
    return _at(source, split, _CONTENT)


def _at(source: Source, split: str, extract: dict[str, str]) -> dict[str, Any]:
    if isinstance(source, GeneratedSource | MosaicSource | SklearnSource):
        return {"fileObject": _COPY, "extract": extract}
    return {"fileSet": {"@id": f"{split}-files"}, "extract": extract}


def _label_told(source: Source, split: str) -> str:
    match source:
        case TorchvisionSource():
            return f"Its class, as torchvision.datasets.{source.dataset} gives it."
        case FolderSource() if split in source.lists:
            listed = source.lists[split]
            label = listed.label if isinstance(listed.label, str) else ", ".join(listed.label)
            return f"Its class: {label} of {', '.join(listed.tables)}."
        case ArraySource():
            return "Its class, as a number."
        case CocoSource():
            return f"The categories of its annotations in {source.splits[split].annotations}."
        case MosaicSource():
            return "Its classes, one to four."
    return "Its class."


def _expression(pattern: str) -> str:
    """A regular expression whose one group is the class in a path that the pattern of a folder source names."""
    before, _, rest = pattern.partition("{")
    inside, _, after = rest.partition("}")
    return f"{_as_expression(before)}({_as_expression(inside)}){_as_expression(after)}$"


def _as_expression(pattern: str) -> str:
    words = {r"\*\*/": "(?:.*/)?", r"\*\*": ".*", r"\*": "[^/]*", r"\?": "[^/]"}
    return re.sub(r"\\\*\\\*/|\\\*\\\*|\\\*|\\\?", lambda found: words[found[0]], re.escape(pattern))


def _splits(manifest: Manifest) -> dict[str, Any]:
    rows = [{"splits/name": name, "splits/images": count} for name, count in manifest.splits.items()]
    fields = [
        _field("splits", "name", "sc:Text", "train, test ..."),
        _field("splits", "images", "sc:Integer", "How many."),
    ]
    return _records("splits", fields, key={"@id": "splits/name"}, dataType="cr:Split", data=rows)


def _classes(manifest: Manifest) -> Iterator[dict[str, Any]]:
    if manifest.class_names:
        rows = [{"classes/name": name} for name in manifest.class_names]
        fields = [_field("classes", "name", "sc:Text", "In the order of the labels.")]
        yield _records("classes", fields, key={"@id": "classes/name"}, dataType="sc:Enumeration", data=rows)


def _records(name: str, fields: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields} | more


def _field(records: str, name: str, kind: str, told: str, **more: Any) -> dict[str, Any]:
    head = {"@type": "cr:Field", "@id": f"{records}/{name}", "name": name, "description": told, "dataType": kind}
    return head | more
