"""The property families; `properties.catalogue` lists them."""

from . import agreement

FAMILIES = (agreement.FAMILY,)
