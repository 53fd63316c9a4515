"""The suite's own family of kinds: each job makes one effect in the sink. Plugged in as an operator plugs in theirs."""
