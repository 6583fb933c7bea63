"""Reads off a program, before it is compiled, how its convolutions and matrix products multiply."""

import collections
import re

import jax

PLATFORMS = ("tpu", "cuda")
CONVOLUTION, MATRIX_PRODUCT = "convolution", "dot_general"
# Type of the factors and JAX's precision -> value of config.precision.*
_NAMES = {
    ("f32", "HIGHEST"): "float32",
    ("f32", "HIGH"): "tensorfloat32",
    ("bf16", "DEFAULT"): "bfloat16",
}
_PRODUCT = re.compile(
    r"stablehlo\.(convolution|dot\w*)\b.*?"
    r"precision(?:_config)? = \[(?:#stablehlo<precision )?(\w+)>?, (?:#stablehlo<precision )?(\w+)"
    r".*: \(tensor<(?:[\d?]+x)*(\w+)>, tensor<(?:[\d?]+x)*(\w+)>\)"
)


def products(program):
    """Count the products in the text of a program: {(operation, precision): number}."""
    counts = collections.Counter()
    for line in program.splitlines():
        if not re.search(r"stablehlo\.(convolution|dot)", line):
            continue
        operation, *precisions, left, right = _PRODUCT.search(line).groups()
        (precision,), (kind,) = set(precisions), {left, right}
        counts[operation, _NAMES.get((kind, precision), f"{kind} {precision}")] += 1
    return dict(counts)


def products_on(platforms, function, *arguments):
    """The products of a function that is lowered for each platform; all must have the same."""
    traced = jax.jit(function).trace(*arguments)
    first, *others = (
        products(traced.lower(lowering_platforms=(platform,)).as_text()) for platform in platforms
    )
    assert all(other == first for other in others)
    return first
