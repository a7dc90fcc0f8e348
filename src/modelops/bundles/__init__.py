"""Model code as OCI artifacts: read, packed, pushed, pulled, checked and cached.

The way of a bundle: `tree` lists its files, `manifest`, `registry_file` and `discovery` say what it
has, `packing` makes an artifact of it, a store (`stores`, `layout_store`, `registry_store`) keeps
it, and `cache` unpacks it where it runs. `signatures` and `provenance` say who vouches for it and
where it comes from, in `referrers` beside it. Nothing here imports or runs a bundle's code.
"""
