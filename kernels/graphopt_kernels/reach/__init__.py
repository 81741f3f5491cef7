"""What the machine code of each kernel touches, told from the argument block alone.

One file a kernel, next in meaning to `cpu/<kernel>.py`: `reach(block)` gives, for every field that is an address, the
bytes that the code reads or writes through it.  It knows what each field means, and nothing of how a binder came to it.
"""
