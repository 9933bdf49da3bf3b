"""Replacing the background: the matte that cuts the person out, and the pictures behind it."""
