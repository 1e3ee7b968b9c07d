"""How much may be asked for at once: far more than anybody needs, and less than ends in a hang."""

MOST_SEEDS = 10_000
LAST_SEED = 2**62  # of a run's first, so that its last is still 64 bits
MOST_STEPS = 10**9
MOST_WORKERS = 1_000
MOST_TRIALS = 10**9  # settings that were tried
MOST_SETTINGS = 1_000  # of one command, each with a run of its own
DAY = 86_400.0  # seconds that a seed may take, unless others are given
LONGEST = 1e9  # seconds that may be given
LONGEST_BENCH = 600.0  # seconds of a seed
