"""Which container image each part runs."""

import os
from collections.abc import Mapping
from functools import cache

from modelops.images import ImageConfig, get_image_config
from modelops.spec.models.kubernetes import Images


def scheduler_image(images: Images) -> str:
    """Return the scheduler's image."""
    return images.scheduler or _config(images).scheduler_image()


def worker_image(images: Images) -> str:
    """Return the image of workers whose group names none."""
    return images.worker or _config(images).worker_image()


def runner_image(images: Images) -> str:
    """Return the image of runs, and of what else runs our code beside workers and scheduler."""
    return images.runner or _config(images).runner_image()


def _config(images: Images) -> ImageConfig:
    return _read(images.profile, _variables(os.environ))


def _variables(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the variables by which images are chosen."""
    return tuple(
        sorted(
            (name, value)
            for name, value in environ.items()
            if name.startswith("MODELOPS_") and "IMAGE" in name
        )
    )


# The file is read once: to plan again touches nothing.
@cache
def _read(profile: str | None, variables: tuple[tuple[str, str], ...]) -> ImageConfig:
    return get_image_config(profile, dict(variables))
