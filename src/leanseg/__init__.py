"""leanseg: medical image segmentation that asks for less."""

__version__ = "0.1.0"
