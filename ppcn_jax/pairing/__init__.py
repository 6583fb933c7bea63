"""Aligned training pairs from photos of two cameras, the only package that uses OpenCV.

Imports only `photos` and `runtime`.

Pixel (x, y) of a frame has its center at these coordinates; arrays of points hold x first. The
phone's frame stays as it was taken, and the camera's frame is warped onto it.
"""
