"""`graphopt fed`: found, join and govern a federation of several organisations."""
