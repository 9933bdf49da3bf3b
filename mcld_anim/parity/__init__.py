"""Replays recorded runs of the published MCLD code: does this implementation compute the same?"""
