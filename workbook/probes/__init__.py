"""Frozen features -> accuracy: linear, by SGD, k-NN, few-shot, for many labels, and between two data sets."""
