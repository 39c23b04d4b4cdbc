"""What a rare and short GPU is for, prepared: `python -m workbook.bench gpu`. Needs neither jupyter nor plotly."""
