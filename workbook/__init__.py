"""The transferability workbook: pretrain, measure and compare vision models as two papers do.

Data flows one way: manifest -> images -> run -> features -> metric -> figure and verdict -> report.
"""

import os
from importlib.metadata import version

# Read by OpenMP when torch loads. By default its threads spin while they wait for each other, so that one other
# busy process made a pretraining on two cores twelve times slower (49 against 602 images/s).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = version("transferability-workbook")
