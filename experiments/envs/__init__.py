"""Environments that draw latent MDPs in pixels."""
