//! A crash must not write tokens to a disk.

/// Asks the kernel to leave no picture of this process's memory, whatever becomes of it: no core dump,
/// neither a file nor one that is handed to a collector, and no other process of the same user may look
/// into it (`PR_SET_DUMPABLE` in `prctl(2)`). What this process starts is not concerned.
///
/// Elsewhere than on Linux the systems write none unless somebody asked for them.
pub fn forbid() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};

        // A kernel that does not know it is no reason to go without a token.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn the_kernel_keeps_no_picture() {
        super::forbid();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
