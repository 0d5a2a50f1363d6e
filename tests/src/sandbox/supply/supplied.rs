//! What was supplied: where it is, which version, and where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Item, Missing, SupplyError};

/// Where a part came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// It was on the machine already.
    Machine,
    /// An earlier run left it in the cache folder.
    Cache,
    /// A Debian package, installed by this run.
    Package,
    /// A Python package, installed by this run in an environment of its own.
    Python,
    /// A Go module, built by this run.
    Go,
    /// Put together by this run from parts that are here.
    Made,
    /// The public Terraform registry, asked by this run.
    Registry,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "found on this machine",
            Self::Cache => "found in the cache",
            Self::Package => "installed from its Debian package",
            Self::Python => "installed from its Python package",
            Self::Go => "built from its Go module",
            Self::Made => "put together here",
            Self::Registry => "fetched from the public Terraform registry",
        })
    }
}

/// A part that can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplied {
    /// The part.
    pub item: Item,
    /// An executable, an archive, or a folder: see [`Item`].
    pub path: PathBuf,
    /// Its version without a leading `v`; empty when it does not tell.
    pub version: String,
    /// Where it came from.
    pub source: Source,
}

impl fmt::Display for Supplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.version.is_empty() {
            write!(f, "{} {}", self.item, self.source)
        } else {
            write!(f, "{} {} {}", self.item, self.version, self.source)
        }
    }
}

/// The parts that one run uses, by item.
#[derive(Clone, Debug, Default)]
pub struct Supplies {
    parts: BTreeMap<Item, Supplied>,
}

impl Supplies {
    /// Adds a part, in the place of an earlier one of the same item.
    pub fn insert(&mut self, part: Supplied) {
        self.parts.insert(part.item, part);
    }

    /// The part, or an error that names it when it was never asked for.
    pub fn get(&self, item: Item) -> Result<&Supplied, SupplyError> {
        self.parts.get(&item).ok_or_else(|| {
            SupplyError::Missing(Missing {
                item,
                why: "it was not asked for".to_owned(),
                next: "Add it to the list of parts.".to_owned(),
            })
        })
    }

    /// Where the part is.
    pub fn path(&self, item: Item) -> Result<&Path, SupplyError> {
        self.get(item).map(|part| part.path.as_path())
    }

    /// All parts, in the order of [`Item`].
    pub fn iter(&self) -> impl Iterator<Item = &Supplied> {
        self.parts.values()
    }
}
