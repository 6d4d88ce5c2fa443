"""The property families; `properties.catalogue` lists them."""

from . import agreement, composition, invariance

FAMILIES = (agreement.FAMILY, composition.FAMILY, invariance.FAMILY)
