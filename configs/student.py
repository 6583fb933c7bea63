"""The student: 2,715 parameters, guided by a trained teacher's attention.

    python launch.py --config=configs/student.py --workdir=W --config.teacher=TEACHER_WORKDIR \
        --config.data.dir=DPED --config.vgg.weights=FILE

Variants: `:released` follows the released training code instead of the paper where the two
differ; `:no_distillation` is the paper's ablation and needs no teacher; `:l1_vgg` has the two
further losses of the paper's challenge entry. 20,000 steps of 50 patches take hours on one GPU; on
a CPU, days.
"""

import ml_collections

from configs import teacher


def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
    """The teacher's fields, with the student as the model and Eq. 12 in the objective."""
    if variant not in ("paper", "released", "no_distillation", "l1_vgg"):
        raise ValueError(
            "configs/student.py has the variants paper, released, no_distillation and l1_vgg, "
            f"not {variant!r}"
        )
    config = teacher.get_config("released" if variant == "released" else "paper")
    config.model = "student"
    if variant != "no_distillation":
        config.objective.attention.weight = 75.0  # Eq. 13
    if variant == "l1_vgg":
        # Table 3, "with L1 and VGG losses". The paper prints no weights; with ours each of the two
        # adds about as much as SSIM does: 43 and 43 against 45 for the released student.
        config.objective.l1.weight = 0.02
        config.objective.perceptual.weight = 2e-4
    return config
