"""Where prices come from, and what so many tokens cost at them."""

from avionics.llm.prices.charges import Charges, charges
from avionics.llm.prices.price_list import ListedPrice, PriceList
from avionics.llm.prices.price_table import PriceTable
from avionics.llm.prices.terms import Terms

__all__ = ["Charges", "ListedPrice", "PriceList", "PriceTable", "Terms", "charges"]
