"""Images and modules -> run: recipes, the training loop, the methods, ablations, label injection."""
