"""Objectives: a model and a batch become a loss."""
