"""Commands in groups of their own; `workbook.cli` has all others, and brings them together."""
