"""Which files lie on a network volume, where locks don't hold between machines."""

from pathlib import Path

import psutil

_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "afpfs", "ncpfs", "webdav", "davfs"),
        *("9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2", "orangefs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.davfs2"),
        *("fuse.gcsfuse", "fuse.blobfuse", "fuse.blobfuse2", "fuse.goofys", "fuse.juicefs"),
    }
)
"""Types of file systems, as /proc/mounts calls them, that several machines may have at once."""


def network_volume(path: Path) -> str | None:
    """Return the type of the network file system that a path is on; None if it's on none."""
    place = path.resolve()
    above = {str(place), *map(str, place.parents)}
    found = [mount for mount in psutil.disk_partitions(all=True) if mount.mountpoint in above]
    # Of several at the same point, the last one is seen.
    nearest = max(found, key=lambda mount: len(mount.mountpoint), default=None)
    kinds = [mount.fstype for mount in found if nearest and mount.mountpoint == nearest.mountpoint]
    return kinds[-1] if kinds and kinds[-1] in _NETWORK else None
