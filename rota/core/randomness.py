"""The random numbers of Rota, apart from those of the program in which it runs.

Functions of users call `random.seed`, as machine learning does. If Rota drew from the same numbers, all workers would
then wait equally long before they try something again, and a test of the user that counts on a seed would change with
every task that Rota runs beside it.
"""

import os
import random

RANDOM = random.Random()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=RANDOM.seed)  # else a child would draw the numbers of its parent again
