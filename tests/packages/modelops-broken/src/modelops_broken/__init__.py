"""Providers that can't be used."""
