"""A weighted, named sum of losses: Eq. 13 and everything one may want instead."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ppcn_jax import losses
from ppcn_jax.configuration.fields import flag, real, whole

Role = Literal["images", "features", "logits", "taps"]

# What each loss compares: the images, their VGG features, the discriminator's logits of the
# enhanced image, or the attention taps of student and teacher.
LOSSES: dict[str, tuple[Callable[..., jax.Array], Role]] = {
    "attention": (losses.attention, "taps"),
    "color": (losses.color, "images"),
    "contextual": (losses.contextual, "features"),
    "l1": (losses.l1, "images"),
    "log_mse": (losses.log_mse, "images"),
    "mae": (losses.mae, "images"),
    "ms_ssim": (losses.ms_ssim, "images"),
    "perceptual": (losses.perceptual, "features"),
    "ssim": (losses.ssim, "images"),
    "texture": (losses.texture, "logits"),
    "total_variation": (losses.total_variation, "images"),
}


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss of the sum.

    Attributes:
        weight: its factor in the total; 0 switches it off and it is not traced.
        fn: `fn(prediction, target)`, or `fn(prediction)` if it has no parameter `target`;
            returns one value per image. A parameter `axis_name` is filled in.
        role: which entry of prediction and target it is given.
    """

    weight: float
    fn: Callable[..., jax.Array]
    role: Role


class Objective:
    """The weighted sum of named terms, over the mean of the batch.

    Terms of weight 0 are dropped at construction: they cost nothing and are not reported.
    """

    def __init__(self, terms: Mapping[str, Term]):
        self.terms = {name: term for name, term in terms.items() if term.weight}
        if not self.terms:
            raise ValueError("the objective has no term with a weight other than 0")

    def needs(self, role: Role) -> bool:
        """Whether any term looks at `role`, so that it has to be computed."""
        return any(term.role == role for term in self.terms.values())

    def __call__(
        self,
        prediction: Mapping[str, Any],
        target: Mapping[str, Any],
        *,
        axis_name: str | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Evaluate every term and their weighted sum.

        Args:
            prediction: role -> what the network made, for every role that is needed.
            target: role -> what it is compared with, for the roles that have a target.
            axis_name: mapped axis of a data-parallel step, for statistics over the whole batch.

        Returns:
            The total (float32 scalar) and the unweighted batch mean of each term by its name,
            both of the local batch.
        """
        values = {
            name: jnp.mean(_evaluate(term, prediction, target, axis_name))
            for name, term in self.terms.items()
        }
        total = sum(self.terms[name].weight * value for name, value in values.items())
        return jnp.asarray(total, jnp.float32), values


def _evaluate(term: Term, prediction, target, axis_name) -> jax.Array:
    parameters = inspect.signature(term.fn).parameters
    arguments = [prediction[term.role]]
    if "target" in parameters:
        arguments.append(target[term.role])
    keywords = {"axis_name": axis_name} if "axis_name" in parameters else {}
    return term.fn(*arguments, **keywords)


def make_objective(terms: Mapping[str, Mapping[str, Any]]) -> Objective:
    """Build an objective from plain values.

    Args:
        terms: name of a loss in `LOSSES` -> `{"weight": float, knob: value, ...}`.

    Returns:
        The objective.

    Raises:
        ValueError: an unknown loss, a weight that is missing, negative or not finite, or a knob
            that the loss does not have; the message lists what there is.
    """
    return Objective({name: _make_term(name, knobs) for name, knobs in terms.items()})


def _make_term(name: str, knobs: Mapping[str, Any]) -> Term:
    if name not in LOSSES:
        raise ValueError(f"unknown loss {name!r} in the objective; there are {sorted(LOSSES)}")
    if "weight" not in knobs:
        raise ValueError(f"objective.{name} has no weight (0 switches it off)")
    fn, role = LOSSES[name]
    knobs = dict(knobs)
    weight = knobs.pop("weight")
    if problem := real(zero=True)(weight):
        raise ValueError(f"objective.{name}.weight is {weight!r}; {problem} (0 switches it off)")
    allowed = {
        parameter.name
        for parameter in inspect.signature(fn).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "axis_name"
    }
    if misspelt := sorted(set(knobs) - allowed):
        raise ValueError(f"objective.{name} has no knob {misspelt}; it has {sorted(allowed)}")
    return Term(float(weight), functools.partial(fn, **knobs), role)


def term_problems(terms: Mapping[str, Any], *, side: int, outputs: int) -> Iterator[str]:
    """What is wrong with an objective, told without computing anything.

    Every term is traced on shapes, those of weight 0 too: losses look at their knobs no earlier.

    Args:
        terms: as for `make_objective`.
        side: of the training images, px.
        outputs: logits of the discriminator.

    Returns:
        An iterator over one line for each term that cannot be used.
    """
    shapes = {
        "images": (1, side, side, 3),
        "features": (1, 2, 2, 4),
        "logits": (1, outputs),
        "taps": (1, 2, 2, 1),
    }
    for name, knobs in terms.items():
        if not isinstance(knobs, Mapping):
            yield f"objective.{name} is {knobs!r}; it must be a group with a weight"
            continue
        try:
            term = _make_term(name, knobs)
        except ValueError as error:
            yield str(error)
            continue
        if odd := list(_odd_numbers(name, knobs)):
            yield from odd
            continue
        example: Any = jax.ShapeDtypeStruct(shapes[term.role], jnp.float32)
        example = {term.role: (example,) if term.role == "taps" else example}
        try:
            jax.eval_shape(functools.partial(_evaluate, term, axis_name=None), example, example)
        except (TypeError, ValueError) as error:
            yield f"objective.{name}: {error}".partition("\n")[0]


def _odd_numbers(name: str, knobs: Mapping[str, Any]) -> Iterator[str]:
    # No loss has a number among its knobs that may be 0 or negative, and none looks.
    for parameter in inspect.signature(LOSSES[name][0]).parameters.values():
        rule = {int: whole(), float: real(), bool: flag}.get(type(parameter.default))
        if rule and parameter.name in knobs and (problem := rule(knobs[parameter.name])):
            yield f"objective.{name}.{parameter.name} is {knobs[parameter.name]!r}; {problem}"
