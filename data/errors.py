"""The one exception for data that cannot be used."""


class DataError(ValueError):
    """The data on disk cannot be used; the message names the file and what to do about it."""
