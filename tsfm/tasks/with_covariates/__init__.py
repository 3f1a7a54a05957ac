"""Covariates as arrays, and the two ways to forecast with them: ridge and channels."""
