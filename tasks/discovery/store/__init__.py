"""The registry: what was found on sites, how running it went, and sign-in states. SQL for the ledger's database.

``tables`` has the tables; ``recording`` takes in a discovery; ``tools`` lists, shows and deletes; ``run_log`` counts
runs; ``notes`` tells what worked; ``search`` finds; ``sessions`` keeps sealed sign-in states.
"""
