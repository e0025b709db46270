"""The orders as the supervisor tells them apart."""

from typing import get_args

from runner.supervisor import orders


def test_every_order_is_one_of_the_union() -> None:
    """So that the type checker sees each of them wherever orders are carried out."""
    kinds = {each for each in vars(orders).values() if isinstance(each, type) and hasattr(each, "_fields")}
    assert kinds == set(get_args(orders.Order))


def test_a_start_is_the_first_of_a_row_unless_it_says_otherwise() -> None:
    """And imports."""
    assert orders.Start(1) == orders.Start(1, aftermath=False, voids=0)
