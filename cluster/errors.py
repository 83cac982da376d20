"""How the cluster side fails."""


class ClusterError(Exception):
    """The cluster cannot be reached, refuses us or is too small: says which, the value, and what to do (exit 1)."""
