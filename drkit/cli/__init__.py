"""The command line: parse, call one action, show."""

import gc

# So many new objects before Python looks for garbage; its own number is 700. What drkit loads and reads is
# mostly kept until it ends: to look through that again and again takes longer than to read it.
gc.set_threshold(100_000)
