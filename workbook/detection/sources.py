"""Detection sets by name: the generated one, or what a manifest says of COCO's annotations."""

from workbook.data.manifests import data_root, load_manifest
from workbook.data.source_kinds import CocoSource
from workbook.detection.coco import coco_scenes
from workbook.detection.generated import generated_scenes
from workbook.detection.scenes import Scenes
from workbook.errors import ManifestError, MissingDataError

GENERATED = "generated"


def load_scenes(name: str, split: str, count: int | None = None) -> Scenes:
    """The first `count` images of a split, None = all of them.

    name: "generated", of which any number can be had and must be said, or the name or path of a manifest that has a
    source of the kind `coco`. Raises MissingDataError where the data is not on this machine, ManifestError for a
    manifest that is unknown or has no such source or split, ValueError for "generated" without a number, and what
    `coco_scenes` does.
    """
    if name == GENERATED:
        if count is None:
            raise ValueError(
                "of the generated scenes there is no end: say how many, as in overrides={'test_scenes': 100}"
            )
        return generated_scenes(split, count)
    manifest = load_manifest(name)
    found = [source for source in manifest.sources if isinstance(source, CocoSource) and split in source.splits]
    if not found:
        raise ManifestError(f"{manifest.name} has no source of the kind coco with a split {split!r}: it has no boxes")
    for source in found:
        base, files = data_root() / source.root, source.splits[split]
        if (base / files.annotations).exists():
            scenes = coco_scenes(base / files.images, base / files.annotations, name=manifest.name)
            return scenes if count is None else scenes.select(range(min(count, len(scenes))))
    raise MissingDataError(f"{manifest.name} is not on this machine: {manifest.advice}")
