"""The examples in the docstrings of losses and metrics give what they print."""

import doctest
import inspect
import re

import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import losses, metrics

PUBLIC = {f"losses.{name}": getattr(losses, name) for name in losses.__all__} | {
    f"metrics.{name}": member
    for name, member in vars(metrics).items()
    if inspect.isfunction(member) and member.__module__ == metrics.__name__ and name[0] != "_"
}
NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]\d+)?")


class Numbers(doctest.OutputChecker):
    """Compare decimal numbers up to rounding errors, and the text around them exactly."""

    def check_output(self, want, got, optionflags):
        values = [np.array(NUMBER.findall(text), float) for text in (want, got)]
        texts = [re.sub(r"\s+", "", NUMBER.sub("#", text)) for text in (want, got)]
        return texts[0] == texts[1] and np.allclose(*values, rtol=1e-4, atol=1e-6)


def problems(docstring, name):
    """How many lines the examples have, and what differs from the printed results."""
    names = {"jnp": jnp, "losses": losses, "metrics": metrics}
    test = doctest.DocTestParser().get_doctest(docstring, names, name, name, 0)
    output = []
    doctest.DocTestRunner(Numbers(), verbose=False).run(test, out=output.append)
    return len(test.examples), "".join(output)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_function_runs(name):
    docstring = inspect.getdoc(PUBLIC[name])
    assert f"{name}(" in docstring.split("Example:")[1]
    count, found = problems(docstring, name)
    assert count == 2 and not found, found


@pytest.mark.parametrize("name", PUBLIC)
def test_arguments_and_results_have_shapes(name):
    returned = inspect.getdoc(PUBLIC[name]).split("Returns:")[1].split("\n\n")[0]
    assert re.search(r"`\[\w.*\]`|in the shape of", returned)


@pytest.mark.parametrize("result", ["0.26", "nan", "array([0.25])"])
def test_another_result_is_reported(result):
    assert problems(f">>> 0.5 / 2\n{result}\n", "quotient")[1]
