"""Recipe -> modules: backbones with their stages, projectors, and weights from outside."""
