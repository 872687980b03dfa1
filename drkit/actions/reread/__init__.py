"""What `verify` reads next: the longest unread first, within a budget; and what it writes down of it."""
