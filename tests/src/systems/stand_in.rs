//! A compiler of C that compiles nothing.
//!
//! Some dependencies have parts in C or assembler. Where nothing is linked nobody reads what becomes
//! of them: it is enough that the files are there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

/// The name by which the program stands in.
pub(super) const NAME: &str = "stand-in-cc";

/// Whether the program was started to stand in for a compiler.
pub fn is_stand_in(own: &OsStr) -> bool {
    Path::new(own)
        .file_stem()
        .is_some_and(|stem| stem == OsStr::new(NAME))
}

/// Makes the files that these words of a compiler or an archiver ask for, all of them empty.
pub fn stand_in(words: &[OsString]) -> io::Result<()> {
    for path in outputs(words) {
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
    }
    Ok(())
}

/// What follows `-o`, and every library.
fn outputs(words: &[OsString]) -> Vec<&Path> {
    let words = words.get(1..).unwrap_or_default();
    let before = [None].into_iter().chain(words.iter().map(Some));
    before
        .zip(words)
        .filter(|(before, word)| {
            let library = Path::new(word).extension().is_some_and(|end| end == "a");
            library || before.is_some_and(|before| before == "-o")
        })
        .map(|(_, word)| Path::new(word))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_compiler_and_an_archiver_would_write_is_found() {
        let of = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let paths = outputs(&words).into_iter().map(Path::to_owned);
            paths.collect::<Vec<_>>()
        };
        assert_eq!(
            of("stand-in-cc -O2 -o out/a.o -c a.c"),
            [Path::new("out/a.o")]
        );
        assert_eq!(
            of("stand-in-cc cq libring.a a.o b.o"),
            [Path::new("libring.a")]
        );
        assert!(of("stand-in-cc -E family.c").is_empty());
    }

    #[test]
    fn the_name_decides() {
        assert!(is_stand_in(OsStr::new("/t/debug/stand-in-cc")));
        assert!(is_stand_in(OsStr::new("stand-in-cc.exe")));
        assert!(!is_stand_in(OsStr::new("/t/debug/check-systems")));
    }
}
