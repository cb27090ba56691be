"""What a run is made of: who is asked, how operations are played and timed, what is observed meanwhile."""
