"""What the profiles are called, smallest first: apart from them, for those who do not wait for torch."""

SIZES = ("smoke", "sketch", "pocket", "study", "paper")
