"""The two ways a command ends badly; every other exception is a defect of ours and keeps its traceback."""


class InputError(Exception):
    """The configuration or the data cannot be used: says what, where, the value found and what to do (exit status
    2)."""


class RunError(Exception):
    """The input was acceptable but the run did not finish, or a check did not hold (exit status 1)."""
