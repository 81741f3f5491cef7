# pragma version 0.4.3
# pragma optimize gas
# pragma evm-version prague
"""
@title Federation
@license Apache-2.0
@notice Several organisations decide together which compiled models may run.  Nobody alone can approve, and there is no
        admin key: every change is one `execute(action, signatures)`, relayed by anyone, and only signatures count.
@dev    Actions are signed as EIP-712 structs, so that a signature holds on this chain and this contract only.  All but
        REMOVE cover the epoch, which every change of members, keys, rights, quorum or delay bumps: what was signed under
        other rules is void.  What concerns one digest covers that digest's nonce, which each change of it bumps.
        Taking power away (REMOVE, CANCEL) is immediate; giving it (ADMIT, CHANGE, QUORUM, DELAY) waits for the delay.
        REMOVE covers no epoch and no nonce, so that nobody can burn the signatures of his own removal: a member's number
        is never given again, so it cannot be replayed either.  Accounts and signing keys are never taken twice.
        It is one long file, because whoever checks the code at an address checks one source.
"""

MAX_MEMBERS: constant(uint256) = 32
MAX_SIGNATURES: constant(uint256) = 65 * MAX_MEMBERS
MAX_PROOF: constant(uint256) = 40
MAX_DELAY: constant(uint256) = 30 * 86400
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

# what an action does
PROPOSE: constant(uint256) = 1  # one member with PROPOSES: announce `subject` as a candidate for model `name`
ANCHOR: constant(uint256) = 2  # quorum: approve manifest `subject` as version `amount` of model `name`
BATCH: constant(uint256) = 3  # quorum: approve all manifests under the batch commitment `subject`
ROLLBACK: constant(uint256) = 4  # quorum: make approved `subject` current again, instead of version `amount`
REVOKE: constant(uint256) = 5  # quorum: withdraw `subject`, known or not
SUSPEND: constant(uint256) = 6  # one member with REVOKES: withdraw `subject` in an emergency
RESTORE: constant(uint256) = 7  # quorum: undo a withdrawal
REPORT: constant(uint256) = 8  # one member with REPORTS: put the digest `evidence` of a report on record
ADMIT: constant(uint256) = 9  # quorum, delayed: a new member
CHANGE: constant(uint256) = 10  # quorum, delayed: the account, keys and rights of member `subject`
REMOVE: constant(uint256) = 11  # quorum, at once: member `subject` leaves
QUORUM: constant(uint256) = 12  # quorum, delayed: `amount` approvals are needed from now on
DELAY: constant(uint256) = 13  # quorum, delayed: changes wait `amount` seconds from now on
CANCEL: constant(uint256) = 14  # quorum, at once: void everything that waits or was signed before

# what a member may do
PROPOSES: constant(uint256) = 1
APPROVES: constant(uint256) = 2
REVOKES: constant(uint256) = 4
REPORTS: constant(uint256) = 8
DECRYPTS: constant(uint256) = 16
ALL_RIGHTS: constant(uint256) = 31
MEMBER: constant(uint256) = 128

# what a record says: status (4 bits), kind (4), nonce (16), version (32), expiry (40), model (160), from the lowest bit
NOT_ANCHORED: constant(uint256) = 0
APPROVED: constant(uint256) = 1
SUSPENDED: constant(uint256) = 2
REVOKED: constant(uint256) = 3
KIND_MANIFEST: constant(uint256) = 1
KIND_BATCH: constant(uint256) = 2

struct Action:
    kind: uint256
    subject: bytes32
    name: bytes20
    amount: uint256
    expires: uint256
    evidence: bytes32
    sealing: bytes32
    epoch: uint256
    nonce: uint256
    deadline: uint256

struct Member:
    account: address  # signs actions (secp256k1)
    rights: uint256
    signing: bytes32  # SHA-256 of the public key, in PEM, that signs manifests (P-256)
    sealing: bytes32  # the key that sealed bundles are encrypted to (X25519)

event Proposed:
    digest: indexed(bytes32)
    model: indexed(bytes20)
    build: indexed(bytes32)
    member: uint256
    version: uint256
    expires: uint256

event Anchored:
    digest: indexed(bytes32)
    model: indexed(bytes20)
    build: indexed(bytes32)
    version: uint256
    expires: uint256

event BatchAnchored:
    root: indexed(bytes32)
    size: uint256
    expires: uint256
    evidence: bytes32

event RolledBack:
    digest: indexed(bytes32)
    model: indexed(bytes20)
    version: uint256
    left: uint256

event Revoked:
    digest: indexed(bytes32)
    reason: bytes32

event Suspended:
    digest: indexed(bytes32)
    member: uint256
    reason: bytes32

event Restored:
    digest: indexed(bytes32)
    reason: bytes32

event Reported:
    digest: indexed(bytes32)
    member: uint256
    evidence: bytes32

event Scheduled:
    identity: indexed(bytes32)
    kind: uint256
    ready: uint256

event MemberSet:
    number: indexed(uint256)
    account: indexed(address)
    rights: uint256
    signing: bytes32
    sealing: bytes32

event MemberRemoved:
    number: indexed(uint256)
    account: indexed(address)

event RulesChanged:
    epoch: uint256
    quorum: uint256
    delay: uint256

ACTION_TYPE: constant(bytes32) = keccak256(
    "Action(uint256 kind,bytes32 subject,bytes20 name,uint256 amount,uint256 expires,bytes32 evidence,bytes32 sealing,uint256 epoch,uint256 nonce,uint256 deadline)"
)
DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
DOMAIN_NAME: constant(bytes32) = keccak256("graphopt federation")
DOMAIN_VERSION: constant(bytes32) = keccak256("1")

records: public(HashMap[bytes32, uint256])  # by digest or batch commitment: the packed record
models: public(HashMap[bytes20, uint256])  # by model: current version, and the latest ever << 32
members: public(HashMap[uint256, Member])  # by number, from 1; numbers are never given again
standing: public(HashMap[address, uint256])  # by account: number << 8 | MEMBER | rights; 0 for one never seen
holders: public(HashMap[bytes32, uint256])  # by signing key: the number of the member who has or had it
waiting: public(HashMap[bytes32, uint256])  # by the identity of an approved action that waits: when it is ready
seen: public(HashMap[bytes32, bool])  # identities of proposals and reports, which are accepted once
epoch: public(uint256)
quorum: public(uint256)
delay: public(uint256)
size: public(uint256)  # members now
voters: public(uint256)  # members now with the right to approve
joined: public(uint256)  # numbers given so far


@deploy
def __init__(founders: DynArray[Member, MAX_MEMBERS], quorum: uint256, delay: uint256):
    for founder: Member in founders:
        self._admit(founder)
    self._set_quorum(quorum)
    self._set_delay(delay)
    self._begin_epoch()


@external
def execute(action: Action, signatures: Bytes[MAX_SIGNATURES]):
    """
    @notice Do what `action` says, if enough members signed it.
    @param action What to do; fields that its kind does not name are ignored, but are signed.
    @param signatures 65 bytes each (r, s, v), in ascending order of the signers' accounts.  An action that waits is
           executed by a second call when it is ready, with no signatures.
    """
    assert block.timestamp <= action.deadline, "the deadline has passed"
    if action.kind != REMOVE:
        assert action.epoch == self.epoch, "signed under an earlier epoch"
    identity: bytes32 = self._identity(action)
    if action.kind == PROPOSE or action.kind == REPORT:
        self._announce(action, identity, signatures)
    elif action.kind <= RESTORE:
        self._decide(action, identity, signatures)
    else:
        self._govern(action, identity, signatures)


@view
@external
def identity(action: Action) -> bytes32:
    """
    @notice The EIP-712 digest that members sign for `action`.
    """
    return self._identity(action)


@view
@external
def approved(digest: bytes32) -> bool:
    """
    @notice Whether manifest `digest` is approved now: anchored as a manifest, not withdrawn, not expired, current.
    """
    record: uint256 = self.records[digest]
    version: uint256 = (record >> 24) & (2**32 - 1)
    current: uint256 = self.models[convert(convert(record >> 96, uint160), bytes20)] & (2**32 - 1)
    return self._in_force(record, KIND_MANIFEST) and version == current


@view
@external
def approved_in_batch(
    digest: bytes32, commitment: bytes32, index: uint256, size: uint256, proof: DynArray[bytes32, MAX_PROOF]
) -> bool:
    """
    @notice Whether manifest `digest` is leaf `index` of the `size` leaves of an approved batch, and not withdrawn itself.
    @dev RFC 9162, 2.1.3.2; the commitment covers the size, so that a position cannot be told in two ways.
    """
    if not self._in_force(self.records[commitment], KIND_BATCH) or self.records[digest] & 15 != NOT_ANCHORED:
        return False
    if index >= size:
        return False
    node: bytes32 = sha256(concat(b"\x00", digest))
    at: uint256 = index
    last: uint256 = size - 1
    for step: bytes32 in proof:
        if last == 0:
            return False
        if at & 1 == 1 or at == last:
            node = sha256(concat(b"\x01", step, node))
            for _: uint256 in range(256):
                if at & 1 == 1 or at == 0:
                    break
                at = at >> 1
                last = last >> 1
        else:
            node = sha256(concat(b"\x01", node, step))
        at = at >> 1
        last = last >> 1
    return last == 0 and commitment == sha256(concat(b"\x02", convert(size, bytes32), node))


@internal
def _announce(action: Action, identity: bytes32, signatures: Bytes[MAX_SIGNATURES]):
    assert not self.seen[identity], "already on record"
    self.seen[identity] = True
    if action.kind == PROPOSE:
        member: uint256 = self._signers(identity, signatures, PROPOSES, 1)
        log Proposed(
            digest=action.subject,
            model=action.name,
            build=action.evidence,
            member=member,
            version=action.amount,
            expires=action.expires,
        )
    else:
        member: uint256 = self._signers(identity, signatures, REPORTS, 1)
        log Reported(digest=action.subject, member=member, evidence=action.evidence)


@internal
def _decide(action: Action, identity: bytes32, signatures: Bytes[MAX_SIGNATURES]):
    record: uint256 = self.records[action.subject]
    status: uint256 = record & 15
    kind: uint256 = (record >> 4) & 15
    nonce: uint256 = (record >> 8) & (2**16 - 1)
    assert action.nonce == nonce, "the record has changed since this was signed"
    assert nonce < 2**16 - 1, "the record has changed too often"
    rest: uint256 = (record >> 24) << 24
    right: uint256 = APPROVES
    needed: uint256 = self.quorum
    if action.kind == REVOKE or action.kind == SUSPEND:
        right = REVOKES
    if action.kind == SUSPEND:
        needed = 1
    member: uint256 = self._signers(identity, signatures, right, needed)

    if action.kind == ANCHOR or action.kind == BATCH:
        assert status == NOT_ANCHORED, "already on record"
        assert action.expires == 0 or action.expires > block.timestamp, "would be expired already"
        assert action.expires < 2**40, "the expiry is out of range"
        status = APPROVED
        rest = action.expires << 56
        if action.kind == BATCH:
            kind = KIND_BATCH
            log BatchAnchored(
                root=action.subject, size=action.amount, expires=action.expires, evidence=action.evidence
            )
        else:
            kind = KIND_MANIFEST
            assert action.amount == (self.models[action.name] >> 32) + 1, "not the model's next version"
            assert action.amount < 2**32, "the model has too many versions"
            self.models[action.name] = action.amount | (action.amount << 32)
            rest = rest | (action.amount << 24) | (convert(convert(action.name, uint160), uint256) << 96)
            log Anchored(
                digest=action.subject,
                model=action.name,
                build=action.evidence,
                version=action.amount,
                expires=action.expires,
            )
    elif action.kind == ROLLBACK:
        version: uint256 = (record >> 24) & (2**32 - 1)
        model: bytes20 = convert(convert(record >> 96, uint160), bytes20)
        versions: uint256 = self.models[model]
        assert self._in_force(record, KIND_MANIFEST), "not approved"
        assert action.amount == versions & (2**32 - 1), "another version is current"
        assert action.amount != version, "current already"
        self.models[model] = ((versions >> 32) << 32) | version
        log RolledBack(digest=action.subject, model=model, version=version, left=action.amount)
    elif action.kind == REVOKE:
        assert status != REVOKED, "revoked already"
        status = REVOKED
        log Revoked(digest=action.subject, reason=action.evidence)
    elif action.kind == SUSPEND:
        assert status < SUSPENDED, "withdrawn already"
        status = SUSPENDED
        log Suspended(digest=action.subject, member=member, reason=action.evidence)
    else:
        assert action.kind == RESTORE, "unknown kind of action"
        assert status >= SUSPENDED, "not withdrawn"
        status = APPROVED
        if kind == 0:
            status = NOT_ANCHORED
        log Restored(digest=action.subject, reason=action.evidence)
    self.records[action.subject] = status | (kind << 4) | ((nonce + 1) << 8) | rest


@internal
def _govern(action: Action, identity: bytes32, signatures: Bytes[MAX_SIGNATURES]):
    ready: uint256 = self.waiting[identity]
    if ready == 0:
        self._signers(identity, signatures, APPROVES, self.quorum)
        if action.kind != REMOVE and action.kind != CANCEL:
            ready = block.timestamp + self.delay
            if self.delay > 0:
                self.waiting[identity] = ready
                log Scheduled(identity=identity, kind=action.kind, ready=ready)
                return
    assert block.timestamp >= ready, "not ready yet"

    if action.kind == ADMIT:
        self._admit(
            Member(
                account=convert(action.name, address),
                rights=action.amount,
                signing=action.evidence,
                sealing=action.sealing,
            )
        )
    elif action.kind == CHANGE:
        self._change(
            convert(action.subject, uint256),
            Member(
                account=convert(action.name, address),
                rights=action.amount,
                signing=action.evidence,
                sealing=action.sealing,
            ),
        )
    elif action.kind == REMOVE:
        self._remove(convert(action.subject, uint256))
    elif action.kind == QUORUM:
        self._set_quorum(action.amount)
    elif action.kind == DELAY:
        self._set_delay(action.amount)
    else:
        assert action.kind == CANCEL, "unknown kind of action"
    assert self.voters >= self.quorum, "too few members would be left to approve"
    self._begin_epoch()


@internal
def _admit(member: Member):
    assert self.size < MAX_MEMBERS, "the federation is full"
    self.size += 1
    self.joined += 1
    self._take_account(member.account)
    self._take_signing_key(member.signing, self.joined)
    self._set_member(self.joined, member)


@internal
def _change(number: uint256, member: Member):
    old: Member = self.members[number]
    assert self.standing[old.account] & MEMBER != 0, "not a member"
    if member.account != old.account:
        self._take_account(member.account)
    if member.signing != old.signing:
        self._take_signing_key(member.signing, number)
    self._retire(number, old)
    self._set_member(number, member)


@internal
def _remove(number: uint256):
    old: Member = self.members[number]
    assert self.standing[old.account] & MEMBER != 0, "not a member"
    self._retire(number, old)
    self.size -= 1
    self.members[number] = Member(account=old.account, rights=0, signing=empty(bytes32), sealing=empty(bytes32))
    log MemberRemoved(number=number, account=old.account)


@internal
def _retire(number: uint256, old: Member):
    self.standing[old.account] = number << 8
    if old.rights & APPROVES != 0:
        self.voters -= 1


@internal
def _take_account(account: address):
    assert account != empty(address), "no account"
    assert self.standing[account] == 0, "the account is or was a member's"


@internal
def _take_signing_key(signing: bytes32, number: uint256):
    assert signing != empty(bytes32), "no signing key"
    assert self.holders[signing] == 0, "the signing key is or was a member's"
    self.holders[signing] = number


@internal
def _set_member(number: uint256, member: Member):
    assert member.rights <= ALL_RIGHTS, "unknown right"
    if member.rights & APPROVES != 0:
        self.voters += 1
    self.standing[member.account] = (number << 8) | MEMBER | member.rights
    self.members[number] = member
    log MemberSet(
        number=number,
        account=member.account,
        rights=member.rights,
        signing=member.signing,
        sealing=member.sealing,
    )


@internal
def _set_quorum(quorum: uint256):
    assert quorum > 0, "a quorum is at least one"
    assert quorum <= self.voters, "more approvals than members who may approve"
    self.quorum = quorum


@internal
def _set_delay(delay: uint256):
    assert delay <= MAX_DELAY, "the delay is too long"
    self.delay = delay


@internal
def _begin_epoch():
    self.epoch += 1
    log RulesChanged(epoch=self.epoch, quorum=self.quorum, delay=self.delay)


@view
@internal
def _in_force(record: uint256, kind: uint256) -> bool:
    expires: uint256 = (record >> 56) & (2**40 - 1)
    return record & 255 == (APPROVED | (kind << 4)) and (expires == 0 or block.timestamp < expires)


@view
@internal
def _signers(identity: bytes32, signatures: Bytes[MAX_SIGNATURES], right: uint256, needed: uint256) -> uint256:
    """
    @dev The number of the last signer.  Ascending accounts rule out duplicates and, as they begin above zero, failed
         recoveries; low s rules out the second form of a signature, though nothing here is keyed on one.
    """
    count: uint256 = len(signatures) // 65
    assert len(signatures) == count * 65, "signatures have 65 bytes each"
    assert count >= needed, "too few signatures"
    last: address = empty(address)
    for i: uint256 in range(count, bound=MAX_MEMBERS):
        r: uint256 = convert(extract32(signatures, i * 65), uint256)
        s: uint256 = convert(extract32(signatures, i * 65 + 32), uint256)
        v: uint256 = convert(slice(signatures, i * 65 + 64, 1), uint256)
        assert s <= HALF_ORDER, "a signature's s is not in its low form"
        signer: address = ecrecover(identity, v, r, s)
        assert convert(signer, uint256) > convert(last, uint256), "signers are not in ascending order"
        assert self.standing[signer] & right != 0, "a signer lacks the right"
        last = signer
    return self.standing[last] >> 8


@view
@internal
def _identity(action: Action) -> bytes32:
    domain: bytes32 = keccak256(abi_encode(DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION, chain.id, self))
    return keccak256(concat(b"\x19\x01", domain, keccak256(abi_encode(ACTION_TYPE, action))))
