"""Layers shared by the backbones."""
