"""Public data sets: what they are called, where they are had and how their downloads become data set folders."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from leanseg.errors import UsageError

if TYPE_CHECKING:
    from leanseg.data.public._public import PublicSet

PUBLIC = {
    "chase-db1": "chase_db1:CHASE_DB1",
    "cvc-clinicdb": "cvc_clinicdb:CVC_CLINICDB",
    "cvc-colondb": "cvc_colondb:CVC_COLONDB",
    "cvc-endoscene": "cvc_endoscene:CVC_ENDOSCENE",
    "drive": "drive:DRIVE",
    "dsb2018": "dsb2018:DSB2018",
    "fives": "fives:FIVES",
    "hrf": "hrf:HRF",
    "idrid": "idrid:IDRID",
    "isic2017": "isic2017:ISIC2017",
    "kvasir-seg": "kvasir_seg:KVASIR_SEG",
    "monuseg": "monuseg:MONUSEG",
    "ph2": "ph2:PH2",
}
"""Name to ``module:constant`` in this folder."""


def public_set(name: str) -> PublicSet:
    """The description of a public data set.

    Raises:
        UsageError: the name is unknown.

    Example:
        >>> public_set("drive").count
        40
    """
    if name not in PUBLIC:
        raise UsageError(f"no public data set {name!r}; leanseg knows {', '.join(PUBLIC)}")
    module, constant = PUBLIC[name].split(":")
    found: PublicSet = getattr(import_module(f"leanseg.data.public.{module}"), constant)
    return found
