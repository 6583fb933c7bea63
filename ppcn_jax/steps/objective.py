"""A weighted, named sum of losses: Eq. 13, or any other combination."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ppcn_jax import losses

Role = Literal["images", "features", "logits", "taps"]

# Each loss with what it compares: the images, their VGG features, the discriminator's logits, or the
# attention maps ("taps") of student and teacher.
LOSSES: dict[str, tuple[Callable[..., jax.Array], Role]] = {
    "attention": (losses.attention, "taps"),
    "charbonnier": (losses.charbonnier, "images"),
    "color": (losses.color, "images"),
    "contextual": (losses.contextual, "features"),
    "contextual_bilateral": (losses.contextual_bilateral, "features"),
    "edge_aware_total_variation": (losses.edge_aware_total_variation, "images"),
    "focal_frequency": (losses.focal_frequency, "images"),
    "frequency_distribution": (losses.frequency_distribution, "features"),
    "gradient": (losses.gradient, "images"),
    "l1": (losses.l1, "images"),
    "laplacian": (losses.laplacian, "images"),
    "log_mse": (losses.log_mse, "images"),
    "mae": (losses.mae, "images"),
    "ms_ssim": (losses.ms_ssim, "images"),
    "perceptual": (losses.perceptual, "features"),
    "projected_wasserstein": (losses.projected_wasserstein, "features"),
    "relativistic": (losses.relativistic, "logits"),
    "sliced_wasserstein": (losses.sliced_wasserstein, "features"),
    "ssim": (losses.ssim, "images"),
    "texture": (losses.texture, "logits"),
    "total_variation": (losses.total_variation, "images"),
}


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss of the sum.

    Attributes:
        weight: factor in the total; a term of weight 0 is not traced.
        fn: `fn(prediction, target)`, or `fn(prediction)` if it has no parameter `target`; returns
            one value per image. `axis_name` is passed if it has such a parameter.
        role: which entry of prediction and target it compares.
    """

    weight: float
    fn: Callable[..., jax.Array]
    role: Role

    @property
    def needs_target(self) -> bool:
        """True if the loss compares the prediction with a target."""
        return "target" in inspect.signature(self.fn).parameters

    def __call__(
        self,
        prediction: Mapping[str, Any],
        target: Mapping[str, Any],
        *,
        axis_name: str | None = None,
    ) -> jax.Array:
        """Evaluate the loss on its role; returns one value per image."""
        parameters = inspect.signature(self.fn).parameters
        arguments = [prediction[self.role]]
        if self.needs_target:
            arguments.append(target[self.role])
        keywords = {"axis_name": axis_name} if "axis_name" in parameters else {}
        return self.fn(*arguments, **keywords)


class Objective:
    """The weighted sum of named terms, averaged over the batch.

    Terms of weight 0 are dropped at construction: they are neither computed nor reported.
    """

    def __init__(self, terms: Mapping[str, Term]):
        self.terms = {name: term for name, term in terms.items() if term.weight}
        if not self.terms:
            raise ValueError("the objective has no term with a weight other than 0")

    def needs(self, role: Role) -> bool:
        """True if any term compares `role`, so that it must be computed."""
        return any(term.role == role for term in self.terms.values())

    def compares(self, role: Role) -> Term | None:
        """The first term that needs `role` of the target as well, if there is one."""
        terms = (term for term in self.terms.values() if term.role == role and term.needs_target)
        return next(terms, None)

    def __call__(
        self,
        prediction: Mapping[str, Any],
        target: Mapping[str, Any],
        *,
        axis_name: str | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Compute the total and the unweighted mean of each term over the local batch.

        `prediction` and `target` map each needed role to arrays; `target` has only roles with a
        target. `axis_name` is the mapped axis, for statistics over the global batch.
        """
        values = {
            name: jnp.mean(term(prediction, target, axis_name=axis_name))
            for name, term in self.terms.items()
        }
        total = sum(self.terms[name].weight * value for name, value in values.items())
        return jnp.asarray(total, jnp.float32), values


def make_objective(terms: Mapping[str, Mapping[str, Any]]) -> Objective:
    """Build an objective from a name in `LOSSES` -> `{"weight": float, option: value, ...}`.

    Raises:
        ValueError: an unknown loss, a weight that is missing, negative or not finite, or an
            unknown option; the message lists the known ones.
    """
    return Objective({name: make_term(name, options) for name, options in terms.items()})


def make_term(name: str, options: Mapping[str, Any]) -> Term:
    """Build one term of an objective; see `make_objective`."""
    if name not in LOSSES:
        raise ValueError(f"unknown loss {name!r} in the objective; the losses are {sorted(LOSSES)}")
    if "weight" not in options:
        raise ValueError(f"objective.{name} has no weight (0 switches it off)")
    fn, role = LOSSES[name]
    options = dict(options)
    weight = options.pop("weight")
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not (number and 0 <= weight <= float(jnp.finfo(jnp.float32).max)):  # false for NaN
        raise ValueError(
            f"objective.{name}.weight is {weight!r}; it must be a number, 0 or more "
            "(0 switches the loss off)"
        )
    allowed = {
        parameter.name
        for parameter in inspect.signature(fn).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in ("axis_name", "where")
    }
    if unknown := sorted(set(options) - allowed):
        raise ValueError(f"objective.{name} has no option {unknown}; it has {sorted(allowed)}")
    return Term(float(weight), functools.partial(fn, **options), role)
