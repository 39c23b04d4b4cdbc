"""Dashboards: ipywidgets around figure functions; each class is shown by the notebook of its name."""
