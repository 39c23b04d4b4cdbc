"""What evidence was measured in: a profile, and the data set where that is not the profile's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from workbook.files import file_name
from workbook.sizes import SIZES

DATASET = ("dataset", "recipe.dataset")  # what the parameter is called


@dataclass(frozen=True)
class Setting:
    """A profile on its own data set or, where `dataset` names one, on another; as text, "pocket, tiny-imagenet-32"."""

    profile: str
    dataset: str = ""

    @classmethod
    def of(cls, profile: str, parameters: Mapping[str, Any]) -> "Setting":
        """That of a run that got these parameters and overrides; of a manifest given by its path, the file's name."""
        given = {**parameters.get("overrides", {}), **parameters}
        named = next(filter(None, map(given.get, DATASET)), "")
        return cls(profile, PurePath(str(named)).name.removesuffix(".yaml"))

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.profile, self.dataset)))

    @property
    def folder(self) -> str:
        """The name of the folder of its reports, and of what is kept of them."""
        return file_name(self.profile, self.dataset)

    @property
    def strength(self) -> tuple[int, bool]:
        """Of its evidence: by the profile, of which a user's own counts most; of two sets, the profile's own."""
        size = SIZES.index(self.profile) if self.profile in SIZES else len(SIZES)
        return size, not self.dataset

    def command(self, arguments: str = "") -> str:
        """What makes its reports."""
        said = " ".join(filter(None, (arguments, self.dataset and f"-p dataset={self.dataset}")))
        quoted = f"'{said}'" if " " in said else said
        return f"make reports PROFILE={self.profile}" + (f" ARGS={quoted}" if said else "")
