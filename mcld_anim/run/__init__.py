"""The stories, from options to files or frames, and their shared parts.

`run` is told in `animate.py`, `pose` in `transfer.py`; `densepose`, `texture` and `report` in files of their names. The
methods of `Animator` are called like the files.
"""
