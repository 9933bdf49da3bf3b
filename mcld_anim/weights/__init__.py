"""The tables of weights, their storage and strict loading."""
