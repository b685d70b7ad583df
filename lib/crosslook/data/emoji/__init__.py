"""The embedded data set: scenes drawn from emoji, described by several describers."""
