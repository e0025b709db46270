"""Byte streams cut at drawn places: what a network may do to any of them."""

from hypothesis import strategies as st


def cut(data: st.DataObject, stream: bytes) -> list[bytes]:
    """*stream* in pieces of drawn lengths."""
    places = sorted(data.draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
