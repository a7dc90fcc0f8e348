"""Text that a model wrote, made fit to travel."""


def clean(text: str) -> str:
    """Write lone surrogates, which have no UTF-8 form, as escapes: a model may print any bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
