"""Nodes for ComfyUI, over the public API."""
