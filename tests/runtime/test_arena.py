"""Two buffers that live at the same time never share a byte; two that do not may."""

from hypothesis import given
from hypothesis import strategies as st

from graphopt.runtime.arena import Lifetime, aligned, place

lifetimes = st.builds(
    lambda nbytes, first, length: Lifetime(nbytes, first, first + length),
    st.integers(0, 5000),
    st.integers(0, 20),
    st.integers(0, 8),
)


@given(st.lists(lifetimes, max_size=25))
def test_what_lives_together_lies_apart(buffers: list[Lifetime]):
    offsets, total = place(buffers)
    for i, a in enumerate(buffers):
        assert offsets[i] % 64 == 0
        assert offsets[i] + a.nbytes <= total
        for j, b in enumerate(buffers[:i]):
            together = a.first <= b.last and b.first <= a.last
            if together and a.nbytes and b.nbytes:
                assert offsets[i] + a.nbytes <= offsets[j] or offsets[j] + b.nbytes <= offsets[i]


@given(st.lists(lifetimes, min_size=1, max_size=25))
def test_no_plan_is_smaller_than_what_lives_at_once_or_larger_than_all(buffers: list[Lifetime]):
    _, total = place(buffers)
    at_once = max(sum(aligned(b.nbytes) for b in buffers if b.first <= t <= b.last) for t in range(30))
    assert at_once <= total <= sum(aligned(b.nbytes) for b in buffers)


def test_a_chain_needs_two_buffers():
    chain = [Lifetime(1000, i, i + 1) for i in range(10)]
    assert place(chain)[1] == 2 * 1024
