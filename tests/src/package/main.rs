//! Makes the archive and the manifest for krew, for the platform at hand.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hybrid_tests::package::{self, PackageError, Platform, Toolchain};

/// Make the archive and the manifest for krew
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder with programs that are already built; without it they are built for release
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
    /// Folder for the archive and the manifest
    #[arg(long, value_name = "FOLDER", default_value = "dist")]
    out: PathBuf,
    /// Address below which the archive will be published
    #[arg(long, value_name = "URL")]
    release: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let binaries = arguments.binaries.clone().map_or_else(built, Ok)?;
    let version = env!("CARGO_PKG_VERSION");
    let archive = package::pack(version, Platform::here(), &binaries, &arguments.out)?;
    let text = package::manifest(version, &arguments.release, std::slice::from_ref(&archive));
    let manifest = arguments.out.join("hybrid.yaml");
    fs::write(&manifest, text)?;
    println!("{}\n{}", archive.path.display(), manifest.display());
    Ok(())
}

/// The folder with the programs, built for release.
fn built() -> Result<PathBuf, PackageError> {
    let toolchain = Toolchain::find();
    if toolchain.could_be_static() {
        eprintln!(
            "note: the programs will need this system's libc; for static ones run `rustup target \
             add {}-unknown-linux-musl`, or on Debian `apt-get install {}`",
            std::env::consts::ARCH,
            package::PACKAGES.join(" ")
        );
    }
    package::build(&toolchain, &package::target_folder()?)
}
