"""Methods by name: how a network is trained from a certain situation of labels."""

METHODS = {"supervised": "leanseg.methods.supervised:Supervised"}
"""Registry: the name used on the command line -> ``module:Class``."""
