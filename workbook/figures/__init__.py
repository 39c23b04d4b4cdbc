"""Tidy data -> plotly figure: each function takes a table and gives a figure, which it neither shows nor saves."""
