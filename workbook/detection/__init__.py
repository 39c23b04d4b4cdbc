"""Scenes -> detector -> AP: object detection and instance segmentation (Wang et al. 2022, Table 3)."""
