"""The command line: parse, call one action, show."""

import gc
import os

# So many new objects before Python looks for garbage; its own number is 700. What drkit loads and reads is
# mostly kept until it ends: to look through that again and again takes longer than to read it.
gc.set_threshold(100_000)
# pydantic would look through all installed packages for any that changes how values are read.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
