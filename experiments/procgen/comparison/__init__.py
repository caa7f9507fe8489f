"""Algorithms side by side: returns, aggregates over games, the paper's figure, equal budgets."""
