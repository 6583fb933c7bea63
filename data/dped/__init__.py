"""DPED: patches taken by three phones, paired with a camera's."""
