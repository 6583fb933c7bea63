"""The teacher: the larger enhancer, from which the student learns.

    python launch.py --config=configs/teacher.py --workdir=W --config.data.dir=DPED \
        --config.vgg.weights=FILE

Variants: `:released` follows the released training code instead of the paper where the two differ.
20,000 steps of 50 patches take hours on one GPU; on a CPU, days. `:quick` fits two CPU cores and a
few hundred pairs, and needs no VGG weights; the shipped networks were trained with it.
"""

import ml_collections


def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
    """All fields of an enhancer's training run."""
    if variant not in ("paper", "released", "quick"):
        raise ValueError(
            f"configs/teacher.py has the variants paper, released and quick, not {variant!r}"
        )
    config = ml_collections.ConfigDict()
    config.task = "train"  # what launch.py runs; the configuration file decides it
    # paper or released: details of networks in which the released code differs from the paper.
    config.preset = "released" if variant == "released" else "paper"
    config.model = "teacher"  # the network that is trained
    config.model_settings = ml_collections.ConfigDict()
    # What convolutions see beyond the edges: zeros, or reflect, which continues the photo by
    # reflection and leaves the continuation out of the instance norms' statistics.
    config.model_settings.padding = "zeros"
    # Start from these parameters instead of random ones: a shipped network's name, a weights file,
    # a workdir, one of its checkpoints, or a released checkpoint; optimizers are new.
    config.start_from = ""
    config.teacher = ""  # workdirs of trained teachers, separated by commas; outputs are averaged
    config.imitation = 0.0  # share of the teachers' images in the targets of image losses, 0 to 1

    config.data = ml_collections.ConfigDict()
    config.data.source = "dped"  # dped, pairs, photos or synthetic; others are for super-resolution
    config.data.dir = ""  # folder of the source; photos and synthetic need none
    config.data.test_dir = ""  # high_resolution, div2k: folder of the test photos
    config.data.phone = "iphone"  # dped: iphone, blackberry or sony
    config.data.input = "input"  # pairs: folder in dir with the photos to enhance
    config.data.target = "target"  # pairs: folder in dir with their targets
    config.data.input_name = "{}"  # pairs: "{}x4" for an input 1x4.png beside its target 1.png
    config.data.holdout = 10  # pairs, high_resolution: the test split is the last N files
    config.data.validation = 0  # dped: hold out the last N training pairs as the test split
    config.data.photos = ""  # dped, pairs: folder of good photos, made into further training pairs
    config.data.photo_share = 0.5  # share of the training crops that are made of these photos
    config.data.photo_extremes = 0.0  # share of very dark or bright ones among these crops, 0 to 1
    config.data.crop = 100  # side of the training patches, px; section 4.1
    config.data.scale = 4  # for super-resolution: factor between target and input
    config.data.in_memory = False  # decode everything once into RAM; needs no TensorFlow

    config.vgg = ml_collections.ConfigDict()
    config.vgg.weights = ""  # file of VGG-19 or VGG-16 weights, "keras" or "lpips"

    # How convolutions multiply in training: float32, tensorfloat32 (rounded factors: TF32 on GPUs,
    # three products in bfloat16 on TPUs) or bfloat16. Everything else is always float32:
    # evaluations, parameters, statistics, dense layers and losses.
    config.precision = ml_collections.ConfigDict()
    config.precision.vgg = "float32"  # convolutions of VGG: float32, tensorfloat32 or bfloat16
    config.precision.discriminator = "float32"  # those of the discriminator
    config.precision.generator = "float32"  # those of the generator, in training

    config.objective = ml_collections.ConfigDict()  # Eq. 13; a weight of 0 drops the term
    # Eqs. 1, 2 and 7; bandwidth: h of Eq. 2; distance: cosine or l2.
    config.objective.contextual = {"weight": 40.0, "bandwidth": 0.5, "distance": "cosine"}
    config.objective.ssim = {"weight": 250.0}  # 25 in Eq. 7, times 10 as contextual's 4
    # Eq. 8, which sums 50 images; form: non_saturating, saturating (the released code's), hinge or
    # least_squares; the discriminator learns by the same form.
    config.objective.texture = {"weight": 50.0, "form": "non_saturating"}
    config.objective.color = {
        "weight": 1.0,
        "kernel": "paper",
    }  # Eqs. 9, 10; blur: paper or released
    # Eq. 11; form: squared or l1 (absolute differences).
    config.objective.total_variation = {"weight": 2000.0, "form": "squared"}
    config.objective.attention = {"weight": 0.0, "form": "norm"}  # Eq. 12; form: norm or squared
    config.objective.l1 = {"weight": 0.0}  # the challenge entry, section 4.3
    config.objective.perceptual = {"weight": 0.0}  # the challenge entry, section 4.3
    config.objective.mae = {"weight": 0.0}  # Eq. 3, for super-resolution
    config.objective.log_mse = {"weight": 0.0, "clipped": False}  # like PSNR; not in the paper
    # Not in the paper; per_channel: the mean over channels is taken last, as TensorFlow does.
    config.objective.ms_ssim = {"weight": 0.0, "per_channel": False}
    # Other losses of images, not in the paper. epsilon: errors below it cost their square.
    config.objective.charbonnier = {"weight": 0.0, "epsilon": 1e-3}
    # edge_sensitivity: a step of its inverse in the target lowers the price of a step to 1/e.
    config.objective.edge_aware_total_variation = {"weight": 0.0, "edge_sensitivity": 10.0}
    # alpha: how much small differences of the spectrum are neglected.
    config.objective.focal_frequency = {"weight": 0.0, "alpha": 1.0}
    config.objective.gradient = {"weight": 0.0}  # differences of neighboring pixels
    config.objective.laplacian = {"weight": 0.0, "levels": 5}  # levels: of the Laplacian pyramid
    # Instead of texture: the image must look more real than its target; average: than the targets.
    config.objective.relativistic = {"weight": 0.0, "average": False}
    # For pairs that do not fit exactly, not in the paper. First the contextual bilateral loss;
    # spatial_weight: price of a match that is one position of the feature map away.
    config.objective.contextual_bilateral = {"weight": 0.0, "spatial_weight": 0.1}
    # phase_weight: weight of phases relative to amplitudes; projections: number of random directions
    config.objective.frequency_distribution = {
        "weight": 0.0,
        "phase_weight": 1.0,
        "projections": 64,
        "seed": 0,  # of the random directions
    }
    config.objective.projected_wasserstein = {"weight": 0.0}  # one distribution per channel
    # Distributions along random directions; projections: their number
    config.objective.sliced_wasserstein = {"weight": 0.0, "projections": 64, "seed": 0}

    config.discriminator = ml_collections.ConfigDict()
    # paper (Fig. 4: one judgment of the whole patch) or patch (PatchGAN: one for each 70 x 70 px)
    config.discriminator.network = "paper"
    config.discriminator.outputs = 1  # paper: 1 logit with a sigmoid (Fig. 4), or 2 with a softmax
    config.discriminator.first_norm = True  # paper: instance norm after the first convolution
    config.discriminator.learning_rate = 5e-4  # section 4.2
    config.discriminator.real_label = 1.0  # label of target images; 1 is a hard label
    config.discriminator.clip = False  # clip probabilities at 1e-10, with no gradient beyond

    config.train = ml_collections.ConfigDict()
    config.train.steps = 20_000  # updates of each network; section 4.2
    config.train.steps_per_call = 1  # steps in one call to the device; same results
    config.train.batch_size = 50  # pairs over all devices and processes; section 4.2
    config.train.seed = 0  # of initial parameters, order of the data, and random draws
    config.train.learning_rate = 5e-4  # section 4.2
    config.train.boundaries = (10_000,)  # steps at which both learning rates decay; section 4.2
    config.train.decay = 0.1  # factor at each boundary; section 4.2
    config.train.optimizer = "adam"  # section 4.2; or "muon" for the generator
    config.train.weight_decay = 0.0  # muon: decay of kernels, times the learning rate
    # Decay of the moving average of the generator's parameters that is evaluated and used, such as
    # 0.999; 0: none; not in the paper.
    config.train.ema = 0.0
    # Train in int8, as `export --precision int8` computes; from a trained network, start_from.
    config.train.quantize = False
    # Adam's epsilon is added to the bias-corrected root (Kingma and Ba, Algorithm 1) or, when
    # False, to the root before its correction, as TensorFlow 1 does.
    config.train.epsilon_corrected = True
    config.train.guard = ml_collections.ConfigDict()  # updates that are not finite are skipped
    config.train.guard.total_limit = 0.0  # also skip updates with a larger total loss; 0: no limit
    config.train.guard.stop_after = 10  # stop the run after this many skipped updates in a row
    config.train.unreadable = 0.01  # stop if a larger share of the training records is damaged

    config.checkpoint = ml_collections.ConfigDict()
    config.checkpoint.every = 1000  # steps
    config.checkpoint.keep = 2  # latest checkpoints to keep; the best one is kept as well
    config.evaluate = ml_collections.ConfigDict()
    config.evaluate.every = 1000  # steps between evaluations of the test split
    config.evaluate.images = 0  # number of test images to score, evenly spaced; 0: all
    config.evaluate.largest = 0  # side of the square in the center that is scored, px; 0: all
    config.evaluate.photos = ""  # folder of good photos without targets to measure faults in
    config.log = ml_collections.ConfigDict()
    config.log.every = 50  # steps between rows of metrics
    config.log.wandb = ""  # project of Weights & Biases that gets rows and pictures too
    config.profile = ml_collections.ConfigDict()  # a trace for xprof in WORKDIR/profile
    config.profile.first_step = 0  # first step in it; 0: no trace
    config.profile.steps = 10  # steps in it
    config.audit = ml_collections.ConfigDict()
    config.audit.every = 1000  # steps between comparisons of what devices compute; 0: none
    config.hang = ml_collections.ConfigDict()
    config.hang.report_after = 900.0  # s without progress, including compilation
    config.hang.end_after = 3600.0  # s without progress; then the process ends; 0: never

    if variant == "released":
        _follow_released_code(config)
    elif variant == "quick":
        _shrink(config)
    return config


def _follow_released_code(config: ml_collections.ConfigDict) -> None:
    config.objective.texture.form = "saturating"
    config.objective.color = {"weight": 0.5, "kernel": "released"}  # half the squared norm
    config.objective.attention.form = "squared"
    config.discriminator.outputs = 2
    config.discriminator.first_norm = False
    config.discriminator.learning_rate = 5e-4
    config.discriminator.real_label = 1.0
    config.discriminator.clip = True
    config.train.epsilon_corrected = False  # TensorFlow 1's Adam


def _shrink(config: ml_collections.ConfigDict) -> None:
    # In small crops, zeros beyond the edges would make up much of the instance norms' statistics, and
    # a network would behave differently on whole photos.
    config.model_settings.padding = "reflect"
    # Optimize what Table 3 measures, with an optimizer that needs few steps, and without VGG and the
    # discriminator, which take most of a step's time on a CPU.
    for name in ("contextual", "texture", "color"):
        config.objective[name].weight = 0.0
    config.objective.total_variation.weight = 90.0  # without it, smooth areas get grain
    config.objective.log_mse = {"weight": 1.0, "clipped": True}
    config.objective.ssim.weight = 3.0
    config.objective.ms_ssim.weight = 15.0
    config.train.batch_size = 8
    config.train.optimizer = "muon"
    config.train.learning_rate = 0.02
    config.train.weight_decay = 0.1
    config.train.decay = 0.3
    config.train.steps = 2000
    config.train.boundaries = (1000, 1400, 1700, 1900)
    config.evaluate.every = 250
