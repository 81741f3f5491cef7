"""What members sign and the contract executes: actions, its calls, storage and events, batches; bytes only."""
