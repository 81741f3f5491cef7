"""A member's keys, their files, and the passphrase that opens them."""
