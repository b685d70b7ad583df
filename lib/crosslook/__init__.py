"""Crosslook: what attention heads in vision-and-language transformers look at.

Import modules by name (`from crosslook import attention, data`): importing the package itself loads nothing heavy.
"""

__version__ = "0.1.0"
