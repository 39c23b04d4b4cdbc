"""The transferability workbook: pretrain, measure and compare vision models as two papers do.

Data flows one way: manifest -> images -> run -> features -> metric -> figure and verdict -> report.
"""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from workbook.lazy import loaded_on_demand

if TYPE_CHECKING:
    from workbook.data import load_images as load_images
    from workbook.profiles import load_profile as load_profile
    from workbook.store import Store as Store
    from workbook.study import Study as Study

# Read by OpenMP when torch loads. By default its threads spin while they wait for each other, so that one other
# busy process made a pretraining on two cores twelve times slower (49 against 602 images/s).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

try:
    __version__ = version("transferability-workbook")
except PackageNotFoundError:  # a copy of the package alone, which nobody installed
    __version__ = "unknown"

__all__ = ["Store", "Study", "load_images", "load_profile"]
__getattr__ = loaded_on_demand(
    __name__, {"Study": "study", "Store": "store", "load_images": "data.sources", "load_profile": "profiles"}
)
