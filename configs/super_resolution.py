"""The super-resolver: a photo enlarged 4 times, 236,560 parameters.

    python launch.py --config=configs/super_resolution.py --workdir=W --config.data.dir=PHOTOS \
        --config.data.test_dir=TEST_PHOTOS

Photos may lie in any folders and need at least 384 px a side; the paper uses DIV2K
(`--config.data.source=div2k`). Variants: `:released` follows the released training code instead of
the paper where the two differ; `:quick` and `:long` fit two CPU cores and photos from 96 px a side:
12,000 steps in 20 minutes, and 40,000 steps in an hour and a half. `:fine_tune` goes on from the
run that `--config.start_from` names, with less weight on SSIM; `:long` and then `:fine_tune` made
the shipped network. A step of the other two took 9.5 s on two busy cores; their 250,000 steps are
for GPUs.

PSNR and SSIM of Set5 (on Y; the bicubic enlargements have 28.43 dB, 0.811) after training on 400
photos of BSDS500 with seed 0: `:quick` 31.15 dB, 0.882; `:long` 31.30 dB, 0.885; fine-tuned 31.35
dB, 0.884.
"""

import ml_collections

from configs import teacher


def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
    """All fields of a super-resolver's training run."""
    if variant not in ("paper", "released", "quick", "long", "fine_tune"):
        raise ValueError(
            "configs/super_resolution.py has the variants paper, released, quick, long and "
            f"fine_tune, not {variant!r}"
        )
    enhancer = teacher.get_config()
    config = ml_collections.ConfigDict()
    config.task = "train"
    config.preset = "released" if variant == "released" else "paper"
    config.model = "super_resolver"
    config.start_from = ""  # explained in configs/teacher.py

    config.data = enhancer.data
    config.data.source = "high_resolution"  # or div2k, or pairs of small and large photos
    config.data.dir = ""  # photos, also in subfolders; div2k: TFDS's data folder, "": default
    config.data.test_dir = ""  # test photos; "": the last data.holdout, or DIV2K's own
    config.data.crop = 384  # side of the training crops, px; section 4.1
    config.data.scale = 4  # 2, 3 or 4: the input is the target shrunk and enlarged by it
    config.model_settings = ml_collections.ConfigDict()
    config.model_settings.scale = config.data.get_ref("scale")  # 2, 3 or 4

    config.precision = ml_collections.ConfigDict()
    # Convolutions in training: float32, tensorfloat32 or bfloat16; see configs/teacher.py.
    config.precision.generator = "float32"

    config.objective = ml_collections.ConfigDict()  # Eq. 6, for images in [0, 1]
    config.objective.mae = {"weight": 255.0}  # Eq. 3; 255 from the range of pixel values
    config.objective.ssim = {"weight": 25.0}  # Eq. 6
    config.objective.l1 = {"weight": 0.0}

    for name in ("train", "checkpoint", "evaluate", "log", "audit", "profile", "hang"):
        config[name] = enhancer[name]  # explained in configs/teacher.py
    config.train.steps = 250_000  # updates; 5000 epochs of DIV2K, as in the released code
    config.train.batch_size = 16  # crops over all devices and processes; section 4.2
    config.train.learning_rate = 5e-4  # section 4.2
    config.train.boundaries = (50_000, 100_000, 150_000, 200_000)  # steps; section 4.2
    config.train.decay = 0.2  # factor at each boundary; section 4.2
    config.train.clip = False  # clip the output to [0, 1] before the losses

    if variant == "released":
        config.train.learning_rate = 2e-4
        config.train.decay = 0.5
        config.train.clip = True
        config.train.epsilon_corrected = False  # TensorFlow 1's Adam
    elif variant in ("quick", "long", "fine_tune"):
        _shrink(config)
    if variant == "long":
        config.train.steps = 40_000
        config.train.boundaries = (20_000, 28_000, 33_000, 37_000)
        config.train.ema = 0.999
        config.evaluate.every = 2000
        config.checkpoint.every = 2000
    elif variant == "fine_tune":
        config.objective.ssim.weight = 5.0  # less than the paper's 25: trades SSIM for PSNR
        config.train.steps = 2500
        config.train.learning_rate = 5e-4
        config.train.boundaries = (1000, 1600, 2100)
        config.train.ema = 0.998
        config.evaluate.every = 500
        config.checkpoint.every = 500
    return config


def _shrink(config: ml_collections.ConfigDict) -> None:
    # Small crops and batches for a CPU, and a learning rate that falls to 1/40 in steps.
    config.data.crop = 96
    config.train.batch_size = 4
    config.train.steps = 12_000
    config.train.optimizer = "muon"
    config.train.learning_rate = 5e-3
    config.train.boundaries = (6000, 8500, 10_000, 11_000)
    config.train.decay = 0.4
