"""Numbers that define the networks, for code that runs or describes them without JAX too."""

from typing import Any

# Parameters by the name of the layer, in nested dicts.
Params = Any

SMALLEST_SIDE = 16
# What a network sees beyond the edges of an image.
PADDINGS = ("zeros", "reflect")
# Slope of every leaky ReLU for negative values.
SLOPE = 0.05

# The enhancers: by how much they stretch contrast about its mean.
CONTRAST = 1.2

# The super-resolver: its scales, its residual blocks, and the residuals in each.
SCALES = (2, 3, 4)
BLOCKS, RESIDUALS = 2, 2
# Strides of the two convolutions that lead down to the low-resolution size.
STRIDES = {2: (2, 1), 3: (3, 1), 4: (2, 2)}
