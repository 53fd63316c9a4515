"""Other people's services as jobs: called, polled, cancelled; and a simulated one."""
