"""Which runner this is.

Law: importing it costs nothing; asking does.
"""


def version() -> str:
    """The installed version; "" in a checkout that was never installed."""
    # Not above: it imports what reads mails and archives, a quarter of all that a start of the supervisor imports.
    from importlib import metadata

    try:
        return metadata.version("runner")
    except metadata.PackageNotFoundError:
        return ""
