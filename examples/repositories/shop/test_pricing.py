import pytest

from pricing import discounted


def test_takes_the_discount_off():
    assert discounted(1000, 15) == 850


def test_refuses_more_than_everything():
    with pytest.raises(ValueError):
        discounted(1000, 101)
