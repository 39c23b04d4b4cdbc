"""What notebooks train, what that costs, and the training of it: `workbook sweep`."""
