"""Algorithms: ask/tell methods, found by the entry-point group `modelops.algorithms`."""
