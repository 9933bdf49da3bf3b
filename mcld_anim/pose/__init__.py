"""Poses as IUV: estimators, tracking, clean-up, retargeting, files, and the network condition."""
