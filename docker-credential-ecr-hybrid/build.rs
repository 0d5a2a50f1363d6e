//! Tells the linker how the helper starts fastest. Clients call it many times in one command, and
//! most of what a call takes is what the system does before `main`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_glibc && is("PROFILE", "release") {
        // One library less to find, map, and relocate.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
        // At a fixed address the thousands of pointers in its tables are right as they are in the
        // file; otherwise each start writes them all, page by page.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
