"""npticket: the Lottery Ticket Hypothesis in NumPy, from scratch (Frankle & Carbin, ICLR 2019)."""

__version__ = "0.1.0"
