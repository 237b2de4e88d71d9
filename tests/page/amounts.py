"""How the program shows amounts to people, worked out another way: from decimals."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

# An amount has 38 digits, and more while it is rounded.
EXACT = Context(prec=60)


def shown(amount) -> str:
    """As `status`, mails and the page write it: cents, or as many digits as are needed."""
    amount = EXACT.create_decimal(amount)
    absolute = abs(amount)
    places = 2
    while absolute and absolute < Decimal(10) ** (1 - places) and places < 12:
        places += 1
    rounded = absolute.quantize(Decimal(10) ** -places, ROUND_HALF_EVEN, EXACT)
    whole, fraction = f"{rounded:,.{places}f}".split(".")
    fraction = fraction.rstrip("0").ljust(2, "0") if places > 2 else fraction
    return ("-" if amount < 0 and rounded else "") + f"${whole}.{fraction}"
