"""Two methods' maps of the same images side by side: shown by the notebook explore_features."""

from workbook.explorers.features.atlas import Atlas, draw_classes
from workbook.explorers.features.explorer import FeatureExplorer
