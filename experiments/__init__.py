"""Mutual distillation from pixels, audited by the theory: imports mdtheory, never the reverse."""
