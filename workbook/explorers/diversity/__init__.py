"""Accuracy, diversity and transfer of models in one view: shown by the notebook explore_diversity."""

from workbook.explorers.diversity.collection import named_models, paper_models
from workbook.explorers.diversity.explorer import DiversityExplorer
from workbook.explorers.diversity.own_models import own_models
