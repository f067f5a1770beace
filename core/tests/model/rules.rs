//! The rules that keep the promises, one switch each. All are on; a counterexample is looked for with one of them taken out.
//! What a rule does stands where it is asked for, in the other files.

/// Which rules hold. Those with a ◆ in the design are marked here too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Rules {
    // The decision: `core::watermark`.
    /// The same request gets the stored signature, and is not signed again.
    pub(crate) replay_stored: bool,
    /// Another payload at the position of the row is refused.
    pub(crate) refuse_conflict: bool,
    /// What is below the row is refused.
    pub(crate) refuse_lower: bool,
    /// ◆ A kind without a row is refused.
    pub(crate) refuse_missing_row: bool,
    /// ◆ A row with a digest and no signature is refused.
    pub(crate) refuse_digest_without_signature: bool,
    /// ◆ A jump of more than `maxLevelJump` is refused.
    pub(crate) limit_jump: bool,
    /// Tags 21 and 23 are one kind, with one row.
    pub(crate) one_row_for_attestations: bool,

    // The signing path: `sidecar::signer`.
    /// What the HSM returns is verified.
    pub(crate) verify_signed: bool,
    /// ◆ A stored signature is verified before it is replayed.
    pub(crate) verify_stored: bool,
    /// The commit holds the signature, not the digest alone.
    pub(crate) commit_signature: bool,
    /// Nothing but what the store holds is released: not what the HSM has just made.
    pub(crate) release_committed_only: bool,
    /// ◆ After anything but a 2xx the request is decided again, from what is read then.
    pub(crate) decide_again: bool,
    /// ◆ A client that goes away does not stop its request half way.
    pub(crate) detached: bool,
    /// ◆ Generic operations are committed too, before they are released.
    pub(crate) commit_operations: bool,

    // The record in a process's hands: `sidecar::custody`.
    /// ◆ The copy comes from a 2xx body or a GET, never from what was sent.
    pub(crate) copy_from_store: bool,
    /// ◆ After a silence as long as the lease, the store is asked before the HSM is.
    pub(crate) ask_after_silence: bool,
    /// What ends a silence is an own write that succeeded: nobody else sees a read.
    pub(crate) only_writes_end_silence: bool,
    /// The silence begins when the write was sent, not when its answer came.
    pub(crate) silence_from_sending: bool,
    /// The silence is looked at again between the HSM and the write: the HSM may have taken long.
    pub(crate) ask_before_sending: bool,
    /// Who has asked to let the lease go, and does not know whether it is gone, takes it for gone until an own write succeeds.
    pub(crate) letting_go_is_silence: bool,
    /// ◆ A record that went back is refused from then on.
    pub(crate) latch: bool,
    /// ◆ A process that starts refuses a record that does not know what its audit log proves.
    pub(crate) compare_audit_log: bool,

    // The store in the cluster: `sidecar::store::config_map`.
    /// A write is conditional on the state that it was decided on.
    pub(crate) conditional_writes: bool,
    /// ◆ `""` and `"0"` are no resourceVersion.
    pub(crate) reject_empty_version: bool,
    /// Reads are quorum reads, never of a watch cache.
    pub(crate) quorum_reads: bool,
    /// ◆ A failed call discards its connection.
    pub(crate) discard_connection: bool,
    /// A missing record is refused, and not made.
    pub(crate) refuse_missing_record: bool,
    /// ◆ A record is created by POST: only where there is none.
    pub(crate) create_by_post: bool,
    /// ◆ An import from an export with a ceiling raises every row to the ceiling.
    pub(crate) import_above_ceiling: bool,

    // The store on a disk: `sidecar::store::file`.
    /// A new file is on disk before it takes the place of the old one.
    pub(crate) sync_file: bool,
    /// The directory is on disk before the commit is one.
    pub(crate) sync_directory: bool,
    /// ◆ A failed fsync ends the process.
    pub(crate) end_after_failed_sync: bool,
    /// So does a failed rename, which may have happened all the same.
    pub(crate) end_after_failed_rename: bool,
    /// ◆ Opening brings what is there to disk.
    pub(crate) sync_on_opening: bool,
    /// A file is written beside the old one, whole, and renamed.
    pub(crate) whole_file: bool,
    /// One process at a time has the directory.
    pub(crate) lock_directory: bool,
}

impl Rules {
    /// All of them.
    pub(crate) const ALL: Self = Self {
        replay_stored: true,
        refuse_conflict: true,
        refuse_lower: true,
        refuse_missing_row: true,
        refuse_digest_without_signature: true,
        limit_jump: true,
        one_row_for_attestations: true,
        verify_signed: true,
        verify_stored: true,
        commit_signature: true,
        release_committed_only: true,
        decide_again: true,
        detached: true,
        commit_operations: true,
        copy_from_store: true,
        ask_after_silence: true,
        only_writes_end_silence: true,
        silence_from_sending: true,
        ask_before_sending: true,
        letting_go_is_silence: true,
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
    };
}
