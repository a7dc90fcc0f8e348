"""A plugin whose own library isn't installed any more."""

raise RuntimeError("the library of this cloud isn't there")
