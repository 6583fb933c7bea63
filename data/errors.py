"""Exceptions for data that cannot be used."""


class DataError(ValueError):
    """The data on disk cannot be used; the message names the file and what to do about it."""


class MissingExtraError(DataError, ModuleNotFoundError):
    """The data needs a package that is not installed; the message names the extra to install."""
