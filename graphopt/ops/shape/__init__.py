"""What each operator gives, as types: one file a family, registered on import."""
