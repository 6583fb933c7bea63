"""The error for what a user gave and can mend."""


class InputError(ValueError):
    """A file, folder or configuration that cannot be used; the message says what to change."""
