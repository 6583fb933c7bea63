"""What must hold for the two pictures of a pair."""

from data.errors import DataError


def check_pair(
    name: str, input_shape: tuple[int, ...], target_shape: tuple[int, ...], crop: int | None
) -> None:
    """Refuse a pair that cannot be used.

    Args:
      name: what to call the pair in an error.
      input_shape: (H, W, 3).
      target_shape: (H, W, 3).
      crop: the side of the crops in pixels; None for whole frames.

    Raises:
      DataError: if the sizes differ or a crop does not fit.
    """
    if input_shape != target_shape:
        raise DataError(
            f"{name}: the input is {_size(input_shape)} and the target {_size(target_shape)}; "
            "align them to one size or remove the pair"
        )
    if crop is not None and min(input_shape[:2]) < crop:
        raise DataError(
            f"{name} is {_size(input_shape)}, smaller than the crop of {crop}; use a smaller crop "
            "or remove the pair"
        )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"
