"""Margins that make intervals cover what they claim."""
