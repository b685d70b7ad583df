"""What capture says when it cannot do its work."""


class Unsupported(ValueError):
    """The model, or a part of it, does attention in a way that capture cannot read."""


class Unseen(RuntimeError):
    """A forward pass did attention in a place where capture saw none, so that the sites would not be all."""
