"""Audits of frames: what looks ahead, and what of a test set lies in a training pool.

The room is called `audits` because `tsfm.audit` is the function: a module of that name would hide
it from whoever imports the module first.
"""
