"""A run as one HTML file that needs no network: `content` is what it's made of, `page` makes it.

Everything that a model or a user wrote is text here, never markup: the template escapes it, and
`figures.label` does for what Plotly draws.
"""
