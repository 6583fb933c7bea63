"""The super-resolver: a photo enlarged 4 times, 236,560 parameters.

    python launch.py --config=configs/super_resolution.py --workdir=W --config.data.dir=PHOTOS \
        --config.data.test_dir=TEST_PHOTOS

Photos of any size from 384 px a side in any folders; DIV2K is what the paper uses
(`--config.data.source=div2k`). Variants: `:released` follows the released training code instead of
the paper where the two differ; `:quick` fits two CPU cores and photos from 96 px a side. A step of
the other two took 9.5 s on two busy cores; their 250,000 are for GPUs.

`:quick` on 400 photos of BSDS500: 12,000 steps in 19 minutes on two cores that others used too. Set5
(PSNR and SSIM on Y; the bicubic enlargements have 28.43 dB, 0.811): 29.70 dB, 0.858 after 2000 steps;
30.42 dB, 0.864 after 6000; 31.15 dB, 0.882 at the end (seed 0).
"""

import ml_collections

from configs import teacher


def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
    """All fields of a super-resolver's training run."""
    if variant not in ("paper", "released", "quick"):
        raise ValueError(
            f"configs/super_resolution.py has the variants paper, released and quick, not {variant!r}"
        )
    config = ml_collections.ConfigDict()
    config.task = "train"
    config.preset = "released" if variant == "released" else "paper"
    config.model = "super_resolver"

    config.data = teacher.get_config().data
    config.data.source = "high_resolution"  # or div2k; pairs: input is the bicubic enlargement
    config.data.dir = ""  # photos anywhere below; div2k: TFDS's data folder, "" for its own
    config.data.test_dir = ""  # test photos; "" takes the last data.holdout, or DIV2K's own
    config.data.crop = 384  # side of the training crops, px; section 4.1
    config.data.scale = 4  # the input is the target shrunk and enlarged so many times
    config.model_settings = ml_collections.ConfigDict()
    config.model_settings.scale = config.data.get_ref("scale")  # 2, 3 or 4

    config.objective = ml_collections.ConfigDict()  # Eq. 6, on values 0..255, of images in [0, 1]
    config.objective.mae = {"weight": 255.0}  # Eq. 3, over pixels; 255 levels
    config.objective.ssim = {"weight": 25.0}  # Eq. 6; of no unit
    config.objective.l1 = {"weight": 0.0}

    config.train = ml_collections.ConfigDict()
    config.train.steps = 250_000  # updates; 5000 epochs of DIV2K, as in the released code
    config.train.steps_per_call = 1  # steps that the device is given at once; changes no bits
    config.train.batch_size = 16  # crops over all devices and processes; section 4.2
    config.train.seed = 0
    config.train.learning_rate = 5e-4  # section 4.2
    config.train.boundaries = (50_000, 100_000, 150_000, 200_000)  # steps; section 4.2
    config.train.decay = 0.2  # factor at each boundary; section 4.2
    config.train.clip = False  # clip the output to [0, 1] before the losses see it
    config.train.optimizer = "adam"  # section 4.2; or "muon" for the generator
    config.train.weight_decay = 0.0  # muon: share of the kernels taken off, times the rate
    # Adam's epsilon is added to the bias-corrected root (Kingma and Ba, Algorithm 1) or, when
    # False, to the root before its correction, as TensorFlow 1 does.
    config.train.epsilon_corrected = True
    config.train.guard = ml_collections.ConfigDict()  # updates that are not finite are left out
    config.train.guard.total_limit = 0.0  # also those of a larger total loss; 0: of none
    config.train.guard.stop_after = 10  # updates left out in a row, then the run stops
    config.train.unreadable = 0.01  # share of the training records that may break; then it stops

    config.checkpoint = ml_collections.ConfigDict()
    config.checkpoint.every = 1000  # steps
    config.checkpoint.keep = 2  # latest checkpoints kept; the best is kept besides
    config.evaluate = ml_collections.ConfigDict()
    config.evaluate.every = 1000  # steps between evaluations of the test photos
    config.log = ml_collections.ConfigDict()
    config.log.every = 50  # steps between rows of metrics
    config.hang = ml_collections.ConfigDict()
    config.hang.report_after = 900.0  # s without progress; the compiler's time counts as well
    config.hang.end_after = 3600.0  # s; then the process ends, to be started again; 0: never

    if variant == "released":
        config.train.learning_rate = 2e-4
        config.train.decay = 0.5
        config.train.clip = True
        config.train.epsilon_corrected = False  # TensorFlow 1's Adam
    elif variant == "quick":
        _shrink(config)
    return config


def _shrink(config: ml_collections.ConfigDict) -> None:
    # Small crops in small batches, and a rate that falls to 1/40 in steps: what a CPU can do.
    config.data.crop = 96
    config.train.batch_size = 4
    config.train.steps = 12_000
    config.train.optimizer = "muon"
    config.train.learning_rate = 5e-3
    config.train.boundaries = (6000, 8500, 10_000, 11_000)
    config.train.decay = 0.4
