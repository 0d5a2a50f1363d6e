//! What is here already, on the machine or in the cache, and what stands in the way of the rest.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::origin::{self, Make, Program};
use super::version::{self, Known};
use super::{
    Cache, Item, Missing, Source, Supplied, Supplies, apt, busybox, go, machine, pause, python,
};

/// Looks for parts and changes nothing.
pub(super) struct Search<'a> {
    pub(super) cache: &'a Cache,
    pub(super) known: Known,
}

impl<'a> Search<'a> {
    pub(super) fn new(cache: &'a Cache) -> Self {
        Self {
            cache,
            known: Known::load(cache),
        }
    }

    /// What is here, and the rest.
    pub(super) fn all(&mut self, items: &BTreeSet<Item>) -> (Supplies, BTreeSet<Item>) {
        let mut supplies = Supplies::default();
        let mut missing = BTreeSet::new();
        for item in items {
            match self.find(*item) {
                Some(part) => supplies.insert(part),
                None => {
                    missing.insert(*item);
                }
            }
        }
        (supplies, missing)
    }

    pub(super) fn find(&mut self, item: Item) -> Option<Supplied> {
        let origin = origin::of(item);
        if let Some(program) = &origin.program
            && let Some((path, version)) = self.on_machine(item, program)
            && program.takes.accepts(&version)
        {
            return Some(Supplied {
                item,
                path,
                version,
                source: Source::Machine,
            });
        }
        self.in_cache(item, &origin.make)
    }

    /// The first executable of that name, whatever its version.
    fn on_machine(&mut self, item: Item, program: &Program) -> Option<(PathBuf, String)> {
        let also: Vec<PathBuf> = program.also_in.iter().map(PathBuf::from).collect();
        if item == Item::CniPlugins {
            let found = machine::find_in(&also, program.file)?;
            return Some((found.parent()?.to_owned(), String::new()));
        }
        let path = machine::find(program.file).or_else(|| machine::find_in(&also, program.file))?;
        let asked = match item {
            Item::Moto => self.known.of(&path, || python::version_of_moto(&path)),
            _ => self.known.of(&path, || version::ask(&path, program.ask)),
        };
        Some((path, asked.unwrap_or_default()))
    }

    fn in_cache(&self, item: Item, make: &Make) -> Option<Supplied> {
        let cache = self.cache;
        let part = |path: PathBuf, version: &str| Supplied {
            item,
            path,
            version: version.to_owned(),
            source: Source::Cache,
        };
        match make {
            Make::Go(recipe, file) => recipe
                .built(cache, file)
                .map(|path| part(path, recipe.version)),
            Make::Python(program) => program.built(cache).map(|path| part(path, program.version)),
            Make::Pause => pause::built(cache).map(|path| part(path, pause::VERSION)),
            Make::Busybox => busybox::built(cache).map(|(path, version)| part(path, &version)),
            Make::Provider(provider) => {
                let (path, version) = provider.find(cache)?;
                let cached = path.starts_with(cache.root());
                let source = if cached {
                    Source::Cache
                } else {
                    Source::Machine
                };
                Some(Supplied {
                    item,
                    path,
                    version,
                    source,
                })
            }
            Make::Package(_) | Make::ByHand(_) => None,
        }
    }

    /// Why any of these could not be made here.
    pub(super) fn obstacles(&mut self, items: &BTreeSet<Item>) -> Vec<Missing> {
        items
            .iter()
            .filter_map(|item| self.obstacle(*item))
            .collect()
    }

    fn obstacle(&mut self, item: Item) -> Option<Missing> {
        let origin = origin::of(item);
        let missing = |why: String, next: String| Some(Missing { item, why, next });
        match origin.make {
            Make::Package(packages) => no_packages(packages)
                .and_then(|next| missing("it is not on this machine".to_owned(), next)),
            Make::Busybox if busybox::find().is_none() => no_packages(&["busybox-static"])
                .and_then(|next| missing("no static busybox is on this machine".to_owned(), next)),
            Make::Python(_) if python::find().is_none() && !can_install() => missing(
                "python3 with its venv module is not on this machine".to_owned(),
                "Install Python 3 with its venv module and put `python3` on PATH.".to_owned(),
            ),
            Make::Go(..) | Make::Pause => go::find(&mut self.known)
                .err()
                .and_then(|why| missing(format!("it has to be built, and {why}"), next_for_go())),
            Make::Provider(_) => {
                let terraform = self.obstacle_unless_found(Item::Terraform)?;
                missing(
                    "no mirror folder on this machine holds it".to_owned(),
                    terraform.next,
                )
            }
            Make::ByHand(next) => {
                let found = origin
                    .program
                    .and_then(|program| self.on_machine(item, &program));
                let why = match found {
                    Some((path, version)) => {
                        format!("`{}` is of version {version}", path.display())
                    }
                    None => "it is not on PATH".to_owned(),
                };
                missing(why, next.to_owned())
            }
            Make::Busybox | Make::Python(_) => None,
        }
    }

    fn obstacle_unless_found(&mut self, item: Item) -> Option<Missing> {
        if self.find(item).is_some() {
            None
        } else {
            self.obstacle(item)
        }
    }
}

pub(super) fn next_for_go() -> String {
    format!(
        "Install Go {} or newer and put `go` on PATH.",
        go::OLDEST_GO
    )
}

fn can_install() -> bool {
    apt::is_here() && rustix::process::geteuid().is_root()
}

/// What to do when packages cannot be installed from here.
fn no_packages(packages: &[&str]) -> Option<String> {
    let name = packages.first().copied().unwrap_or_default();
    if !apt::is_here() {
        return Some(format!(
            "Install what Debian packages as `{name}` and put it on PATH."
        ));
    }
    (!rustix::process::geteuid().is_root())
        .then(|| format!("Run this as root, or install the package `{name}` first."))
}
