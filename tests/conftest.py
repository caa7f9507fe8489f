"""What every test needs before anything else is imported."""

import os

# The tests' networks are tiny: threads within them only wait for each other, and much longer so
# when something else runs. Subprocesses inherit this, so their results are the same bit for bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")
