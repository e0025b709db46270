"""The parameters of the usual request, from a PARAMS stream to text in one go.

Nearly every request carries only names that were seen before, each of them once. Such a stream is read here without
making pairs of bytes first; for any other the answer is None, and records.parse_pairs finds out what is the matter.

Laws: no socket, no clock, no state, and no judgement: what is wrong with a stream is said elsewhere, in one place.
`parse_known` has a twin in C, _parameters.c, which is built where a compiler is at hand; the two differ in nothing but
speed, and every test of the one is a test of the other.
Start at parse_known. Spec: 3.4 name-value pairs.
"""

from collections.abc import Callable

from runner.wire.records import parse_long_lengths

ParseKnown = Callable[[bytes, dict[str, str], int], dict[str, str] | None]


def parse_known(stream: bytes, known: dict[str, str], limit: int) -> dict[str, str] | None:
    """The names and values of a whole PARAMS stream as latin-1 text, in its order; None if anything is unusual:

    a name that is not in *known* (which maps each name to itself), a name sent twice, a NUL in a value, more than
    *limit* pairs (at least 1), none at all, or lengths that do not fit the stream.
    """
    text = stream.decode("latin-1")
    variables: dict[str, str] = {}
    position, size, count = 0, len(stream), 0
    try:
        for count in range(1, limit + 1):  # noqa: B007 - how many pairs there were is asked for below
            name_length = stream[position]
            value_length = stream[position + 1]
            if name_length < 128 and value_length < 128:
                position += 2
            else:
                name_length, value_length, position = parse_long_lengths(stream, position)
            middle = position + name_length
            name = text[position:middle]
            position = middle + value_length
            variables[name] = text[middle:position]
            if position >= size:
                break
    except IndexError:
        return None
    usual = (
        position == size  # neither a pair that runs past the end nor one beyond the limit
        and len(variables) == count
        and variables.keys() <= known.keys()
        and "\0" not in "".join(variables.values())
    )
    return variables if usual else None
