"""Dashboards: ipywidgets around figure functions, a room for each; its notebook is `explore_` and the room's name."""
