"""What every part above the contracts may use: errors, settings, names, the engine."""
