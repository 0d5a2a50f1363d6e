//! Where the project's sources are.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The project's own folder.
///
/// `cargo run` and `cargo test` name the package they run. That goes before the folder that the
/// program was compiled in: two checkouts may share one target folder.
pub fn source_tree() -> &'static Path {
    static TREE: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        package.parent().map_or(package.clone(), Path::to_owned)
    });
    &TREE
}
