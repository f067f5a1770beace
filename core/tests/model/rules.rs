//! The rules that keep the promises, one switch each. All are on; a counterexample is looked for with one of them taken out.
//! What a rule does stands where it is asked for, in the other files.

/// Which rules hold. A number, such as `INVARIANT D1`, is that of docs/architecture.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Rules {
    // The decision: `core::watermark`.
    /// The same request gets the stored signature, and is not signed again.
    pub(crate) replay_stored: bool,
    /// Another payload at the position of the row is refused.
    pub(crate) refuse_conflict: bool,
    /// A level below the row's is refused.
    pub(crate) refuse_lower: bool,
    /// A lower round of the row's level is refused.
    pub(crate) refuse_lower_round: bool,
    /// INVARIANT D1: A kind without a row is refused.
    pub(crate) refuse_missing_row: bool,
    /// INVARIANT D2: A row with a digest and no signature is refused.
    pub(crate) refuse_digest_without_signature: bool,
    /// INVARIANT D4: A jump of more than `maxLevelJump` is refused.
    pub(crate) limit_jump: bool,
    /// Tags 21 and 23 are one kind, with one row.
    pub(crate) one_row_for_attestations: bool,
    /// INVARIANT D8: The scheme of the key decides where level and round of a vote are read.
    pub(crate) layout_of_scheme: bool,
    /// A record with `suspend` signs nothing.
    pub(crate) obey_suspend: bool,
    /// INVARIANT S8: A record with `suspend` signs no generic operation either.
    pub(crate) obey_suspend_for_operations: bool,
    /// Not one level above the ceiling is signed.
    pub(crate) obey_ceiling_exactly: bool,

    // The signing path: `sidecar::signing`.
    /// What the HSM returns is verified.
    pub(crate) verify_signed: bool,
    /// INVARIANT D3: A stored signature is verified before it is replayed.
    pub(crate) verify_stored: bool,
    /// The commit holds the signature, not the digest alone.
    pub(crate) commit_signature: bool,
    /// Nothing but what the store holds is released: not what the HSM has just made.
    pub(crate) release_committed_only: bool,
    /// INVARIANT S5: After anything but a 2xx the request is decided again, from what is read then.
    pub(crate) decide_again: bool,
    /// INVARIANT S7: A client that goes away does not stop its request half way.
    pub(crate) detached: bool,
    /// INVARIANT S8: Generic operations are committed too, before they are released.
    pub(crate) commit_operations: bool,
    /// INVARIANT D7: What people can lift by a change of the record is refused only after a read.
    pub(crate) read_before_refusing: bool,
    /// The intent is on disk before the commit is sent.
    pub(crate) sync_intent: bool,

    // The record in a process's hands: `sidecar::records::session`.
    /// INVARIANT S6: The copy comes from a 2xx body or a GET, never from what was sent.
    pub(crate) copy_from_store: bool,
    /// INVARIANT S1: After a silence as long as the lease, the store is asked before the HSM is.
    pub(crate) ask_after_silence: bool,
    /// What ends a silence is an own write that succeeded: nobody else sees a read.
    pub(crate) only_writes_end_silence: bool,
    /// INVARIANT S3: The silence begins when the write was sent, not when its answer came.
    pub(crate) silence_from_sending: bool,
    /// INVARIANT S2: The silence is checked again between the HSM and the write: the HSM may have taken long.
    pub(crate) ask_before_sending: bool,
    /// INVARIANT S4: Who has asked to release the lease, and does not know whether it is released, is silent until an own write succeeds.
    pub(crate) release_is_silence: bool,
    /// INVARIANT R6: A record that went back is refused from then on.
    pub(crate) latch: bool,
    /// INVARIANT R7: A process that starts refuses a record that does not know what its audit log proves.
    pub(crate) compare_audit_log: bool,

    // The store in the cluster: `sidecar::store::config_map`.
    /// A write is conditional on the state that it was decided on.
    pub(crate) conditional_writes: bool,
    /// INVARIANT R1: `""` and `"0"` are no resourceVersion.
    pub(crate) reject_empty_version: bool,
    /// Reads are quorum reads, never of a watch cache.
    pub(crate) quorum_reads: bool,
    /// INVARIANT R3: A failed call discards its connection.
    pub(crate) discard_connection: bool,
    /// A missing record is refused, and not made.
    pub(crate) refuse_missing_record: bool,
    /// INVARIANT R2: A record is created by POST: only where there is none.
    pub(crate) create_by_post: bool,
    /// INVARIANT R11: An import from an export with a ceiling raises every row to the ceiling.
    pub(crate) import_above_ceiling: bool,

    // The store on a disk: `sidecar::store::file`.
    /// A new file is on disk before it takes the place of the old one.
    pub(crate) sync_file: bool,
    /// The directory is on disk before the commit is one.
    pub(crate) sync_directory: bool,
    /// INVARIANT R8: A failed fsync ends the process.
    pub(crate) end_after_failed_sync: bool,
    /// So does a failed rename, which may have happened all the same.
    pub(crate) end_after_failed_rename: bool,
    /// INVARIANT R9: Opening brings what is there to disk.
    pub(crate) sync_on_opening: bool,
    /// A file is written beside the old one, whole, and renamed.
    pub(crate) whole_file: bool,
    /// One process at a time has the directory.
    pub(crate) lock_directory: bool,

    // The slots of a file: `core::record::slots`.
    /// A write replaces the older state, and leaves the newest one whole.
    pub(crate) write_older_slot: bool,
    /// A slot is on disk before its write is a commit.
    pub(crate) sync_slot: bool,
    /// INVARIANT R9: Opening writes the slots again: data whose fsync failed is still shown.
    pub(crate) write_again_on_opening: bool,
    /// INVARIANT R16: Damage is refused, and not taken for a write that was cut.
    pub(crate) refuse_damage: bool,
}

impl Rules {
    /// All of them.
    pub(crate) const ALL: Self = Self {
        replay_stored: true,
        refuse_conflict: true,
        refuse_lower: true,
        refuse_lower_round: true,
        refuse_missing_row: true,
        refuse_digest_without_signature: true,
        limit_jump: true,
        one_row_for_attestations: true,
        layout_of_scheme: true,
        obey_suspend: true,
        obey_suspend_for_operations: true,
        obey_ceiling_exactly: true,
        verify_signed: true,
        verify_stored: true,
        commit_signature: true,
        release_committed_only: true,
        decide_again: true,
        detached: true,
        commit_operations: true,
        read_before_refusing: true,
        sync_intent: true,
        copy_from_store: true,
        ask_after_silence: true,
        only_writes_end_silence: true,
        silence_from_sending: true,
        ask_before_sending: true,
        release_is_silence: true,
        latch: true,
        compare_audit_log: true,
        conditional_writes: true,
        reject_empty_version: true,
        quorum_reads: true,
        discard_connection: true,
        refuse_missing_record: true,
        create_by_post: true,
        import_above_ceiling: true,
        sync_file: true,
        sync_directory: true,
        end_after_failed_sync: true,
        end_after_failed_rename: true,
        sync_on_opening: true,
        whole_file: true,
        lock_directory: true,
        write_older_slot: true,
        sync_slot: true,
        write_again_on_opening: true,
        refuse_damage: true,
    };
}
