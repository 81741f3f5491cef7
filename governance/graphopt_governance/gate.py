"""The gate that obeys a federation: a bundle runs when its manifest is signed by a member and approved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from graphopt.bundle import Manifest
from graphopt.bundle.gate import Revocable
from graphopt.errors import RefusedError
from graphopt_governance.chains.chain import Chain
from graphopt_governance.home import Home
from graphopt_governance.verdict.policy import Policy
from graphopt_governance.verdict.verify import Reading, Verdict, judge, judge_at
from graphopt_governance.verdict.watch import Together, Watch


class FederationRefusedError(RefusedError):
    """The federation does not let a bundle run; `verdict` has every reason."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"refused: {verdict.sentence}")
        self.verdict = verdict


class ChainGate:
    """A gate (`graphopt.bundle.WatchingGate`) that asks the federation on `chain`; where that is None nothing passes.

    `inclusions`: a folder with proofs that manifests are in anchored batches.  `every`: after how many seconds a
    running process asks again about what it loaded; None: only where `graphopt.load(..., recheck=...)` says so.
    `judge`, where it is given, judges instead of `chain`, and `together` judges several by one reading:
    `ChainGate.default` hands in those of a home, with its policy.
    """

    def __init__(
        self,
        chain: Chain | None,
        inclusions: Path | None = None,
        *,
        every: float | None = None,
        judge: Callable[[Manifest], Verdict] | None = None,
        together: Together | None = None,
    ) -> None:
        self._chain, self._inclusions = chain, inclusions
        self._judge = judge or self._by_chain
        self._every = every
        self._watch = Watch(self._judge, together or (self._by_chain_together if judge is None else None))

    @classmethod
    def default(
        cls,
        home: Home | None = None,
        *,
        policy: Policy | None = None,
        offline: bool = False,
        max_age: float | None = None,
        every: float | None = None,
    ) -> ChainGate:
        """The gate of the federation on this machine, under the home's policy or the one given.

        `offline` and `max_age` (seconds): as `actions.verify` takes them.  PolicyError for a policy that is none.
        """
        from graphopt_governance.verdict.judging import Judge

        judge = Judge(home or Home.default(), policy, offline=offline, max_age=max_age)
        return cls(
            None, every=judge.policy.recheck if every is None else every, judge=judge.judge, together=judge.together
        )

    def admit(self, manifest: Manifest) -> None:
        """Return if the bundle may run, else FederationRefusedError; ChainError when the chain cannot be read."""
        verdict = self._judge(manifest)
        if not verdict.approved:
            raise FederationRefusedError(verdict)

    def watch(self, manifest: Manifest, loaded: Revocable, every: float | None = None) -> None:
        """Ask again each `every` seconds, or as often as the gate was made to; withdraw what may not run any more."""
        every = self._every if every is None else every
        if every is not None:
            self._watch.add(manifest, loaded, every)

    def close(self) -> None:
        """Ask no more; models that were watched are withdrawn."""
        self._watch.close()

    def __enter__(self) -> ChainGate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _by_chain_together(self, manifests: Sequence[Manifest]) -> Callable[[Manifest, bool], Verdict]:
        reading = Reading(manifests)

        def judged(manifest: Manifest, told: bool) -> Verdict:
            if self._chain is None:
                return self._by_chain(manifest)
            return judge_at(manifest, reading.of(self._chain), self._chain, self._inclusions, told=told)

        return judged

    def _by_chain(self, manifest: Manifest) -> Verdict:
        return judge(manifest, self._chain, self._inclusions)
