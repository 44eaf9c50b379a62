"""The one exception that means: the user can mend this."""


class InputError(Exception):
    """Bad input. The message is one sentence: what is wrong, where, and the way out.

    The command line prints it without a traceback and exits with code 2.
    """
