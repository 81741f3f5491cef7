"""The names that machine code may leave to the C library: what `emit` allows, and what is let in when it is loaded."""

from __future__ import annotations

LIBC = frozenset(
    ("memcpy", "memmove", "memset", "sched_yield", "sem_init", "sem_post", "sem_wait", "sem_destroy", "clock_gettime")
)
_MATH = """
    acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh erf erfc exp exp2 expm1 fabs floor fma fmod hypot lgamma
    log log10 log1p log2 nearbyint pow rint round roundeven sin sinh sqrt tan tanh tgamma trunc
"""
LIBM = frozenset(name + suffix for name in _MATH.split() for suffix in ("", "f"))
ALLOWED_UNDEFINED = LIBC | LIBM
"""What object code may leave to the C library; anything else is an error when it is made, and when it is loaded."""
