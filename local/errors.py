class LocalError(Exception):
    """Something on this machine is in the way. Its text says what, where and what to do; callers print it and exit."""
