//! Files and folders for their owner's eyes only.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder that only its owner enters. One that exists keeps its mode.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Asks for mode 0600 on systems that have modes. Elsewhere the profile folder's ACL does it.
pub(crate) fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = options;
}

/// Whether a file belongs to this user and nobody else can have written it. A folder that several
/// users share, or an open one, must not hand one of them a token of another.
pub(crate) fn is_private(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        let of_others = metadata.mode() & 0o077;
        is_own && of_others == 0
    }
    #[cfg(not(unix))]
    metadata.is_file()
}
