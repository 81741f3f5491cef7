"""What each operator computes, on numpy arrays: one file a family, registered on import."""
