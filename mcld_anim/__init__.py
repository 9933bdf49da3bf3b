"""Animate one photo of a person with the motion of a driving video, by MCLD (CVPR 2025, arXiv 2503.15686)."""

__version__ = "0.1.0"
