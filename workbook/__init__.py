"""The transferability workbook: pretrain, measure and compare vision models as two papers do.

Data flows one way: manifest -> images -> run -> features -> metric -> figure and verdict -> report.
"""

from importlib.metadata import version

__version__ = version("transferability-workbook")
