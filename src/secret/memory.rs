//! Where secrets are while the program runs.

/// From now on no other process of this user reads this one's memory or environment, or traces it, and it leaves no core
/// dump. Root still can; and what is not in this process, such as the secret's file, is as it was.
///
/// Programs that are started from here are as any other: this ends with `execve`.
pub fn keep_to_ourselves() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Where the system refuses, all is as it would have been.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
