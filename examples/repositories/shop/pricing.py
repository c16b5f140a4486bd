"""Prices of the shop, in cents."""


def discounted(price: int, percent: int) -> int:
    """The price less a discount of 0 to 100 percent, rounded down to a cent."""
    if not 0 <= percent <= 100:
        raise ValueError(f"a discount is 0 to 100 percent, not {percent}")
    return price * (100 - percent) // 100
