//! Takes the Terraform configuration into the binary, so that `init` needs nothing else.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let configuration = here.join("../terraform").canonicalize()?;
    println!("cargo::rerun-if-changed={}", configuration.display());
    let mut files = Vec::new();
    collect(&configuration, "", &mut files)?;
    files.sort();
    let mut text = String::from(
        "/// The files by their place in the Terraform folder, with `/` in it.\n\
         pub static FILES: &[(&str, &str)] = &[\n",
    );
    for (name, path) in files {
        // As a literal: a path of Windows has backslashes.
        let path = path.to_string_lossy().into_owned();
        let _ = writeln!(text, "    ({name:?}, include_str!({path:?})),");
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("configuration.rs"), text)
}

/// What Terraform makes in the folder, tests and values of single environments are left out.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        );
        if path.is_dir() {
            if !name.starts_with('.') && name != "tests" {
                println!("cargo::rerun-if-changed={}", path.display());
                collect(&path, &format!("{prefix}{name}/"), files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "tf") {
            files.push((format!("{prefix}{name}"), path));
        }
    }
    Ok(())
}
