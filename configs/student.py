"""The student: 2,715 parameters, trained with the attention of a trained teacher.

    python launch.py --config=configs/student.py --workdir=W --config.teacher=TEACHER_WORKDIR \
        --config.data.dir=DPED --config.vgg.weights=FILE

Variants: `:released` follows the released training code instead of the paper where the two
differ; `:no_distillation` is the paper's ablation and needs no teacher; `:l1_vgg` adds the two
losses of the paper's challenge entry. 20,000 steps of 50 patches take hours on one GPU; on a CPU,
days. `:quick` and `:quick_no_distillation` are for two CPU cores; see configs/teacher.py. `:quick`
learns from its teachers' images instead of their attention.
"""

import ml_collections

from configs import teacher

# Variant of the student -> variant of configs/teacher.py that it starts from.
_VARIANTS = {
    "paper": "paper",
    "released": "released",
    "no_distillation": "paper",
    "l1_vgg": "paper",
    "quick": "quick",
    "quick_no_distillation": "quick",
}


def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
    """The teacher's fields, with the student as the model and Eq. 12 in the objective."""
    if variant not in _VARIANTS:
        raise ValueError(
            f"configs/student.py has the variants {', '.join(_VARIANTS)}, not {variant!r}"
        )
    config = teacher.get_config(_VARIANTS[variant])
    config.model = "student"
    if variant == "quick":
        config.imitation = 1.0
        # Half of the teacher's, whose images are smooth already.
        config.objective.total_variation.weight = 45.0
        # So that it does in the night, and before white, what its teacher does.
        config.data.photo_extremes = 0.5
    elif "no_distillation" not in variant:
        config.objective.attention.weight = 75.0  # Eq. 13
    if variant.startswith("quick"):
        config.data.crop = 64
        config.train.steps = 4000
        config.train.boundaries = (2000, 2800, 3400, 3800)
    if variant == "l1_vgg":
        # Table 3, "with L1 and VGG losses". The paper prints no weights; with these, each of the two
        # adds about as much as SSIM does: 43 and 43, SSIM 45 for the released student.
        config.objective.l1.weight = 0.02
        config.objective.perceptual.weight = 2e-4
    return config
