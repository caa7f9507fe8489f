"""Does a bound follow from the theory?  By nonnegative coefficients (SymPy), or by Z3.

facts -> certificate (region, factored, atoms, derive) or smt -> prove
"""

from mdtheory.proving.prove import Proof, prove, z3_available

__all__ = ["Proof", "prove", "z3_available"]
