//! What is not here: Debian packages in one call, then Python environments, builds and the rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::origin::{self, Make};
use super::search::{Search, next_for_go};
use super::{
    Item, Missing, Source, Supplied, Supplies, SupplyError, apt, busybox, go, pause, python,
    version,
};
use crate::sandbox::report::Report;

/// Installs and builds, with the lock held.
pub(super) struct Making<'a, 'c> {
    pub(super) search: &'a mut Search<'c>,
    pub(super) report: &'a Report,
    pub(super) supplies: &'a mut Supplies,
}

impl Making<'_, '_> {
    pub(super) fn all(&mut self, missing: &BTreeSet<Item>) -> Result<(), SupplyError> {
        self.packages(missing)?;
        let mut built = BTreeSet::new();
        for item in missing {
            match origin::of(*item).make {
                Make::Package(_) | Make::ByHand(_) => {}
                Make::Python(program) => self.python(*item, program)?,
                Make::Go(recipe, _) => {
                    if built.insert(recipe.name) {
                        self.recipe(recipe)?;
                    }
                    self.take(*item, Source::Go)?;
                }
                Make::Pause => {
                    let go = self.go(*item)?;
                    let cache = self.search.cache;
                    self.report
                        .step("pause image built", || pause::make(&go, cache))?;
                    self.take(*item, Source::Made)?;
                }
                Make::Busybox => self.busybox(*item)?,
                Make::Provider(provider) => self.provider(*item, provider)?,
            }
        }
        Ok(())
    }

    /// All Debian packages that any of the missing parts needs, in one call.
    fn packages(&mut self, missing: &BTreeSet<Item>) -> Result<(), SupplyError> {
        let wanted = packages_for(missing, busybox::find().is_some(), || {
            python::find().is_some()
        });
        if wanted.is_empty() {
            return Ok(());
        }
        let count = wanted.len();
        let step = self
            .report
            .begin(format!("installing {count} Debian packages"));
        apt::install(&wanted, &self.search.cache.root().join("logs"))?;
        let items: Vec<Item> = missing
            .iter()
            .copied()
            .filter(|item| matches!(origin::of(*item).make, Make::Package(_)))
            .collect();
        let mut names = Vec::new();
        for item in items {
            let part = self.take(item, Source::Package)?;
            names.push(format!("{item} {}", part.version).trim_end().to_owned());
        }
        let plural = if count == 1 { "package" } else { "packages" };
        let names = if names.is_empty() {
            String::new()
        } else {
            format!(": {}", names.join(", "))
        };
        step.done_as(format!("{count} Debian {plural} installed{names}"));
        Ok(())
    }

    /// Takes up a part that has just been made.
    fn take(&mut self, item: Item, source: Source) -> Result<Supplied, SupplyError> {
        let part = self.search.find(item).ok_or_else(|| SupplyError::Absent {
            what: format!("The supply of {item}"),
            path: PathBuf::from(item.name()),
        })?;
        let part = Supplied { source, ..part };
        self.supplies.insert(part.clone());
        Ok(part)
    }

    fn go(&mut self, item: Item) -> Result<PathBuf, SupplyError> {
        go::find(&mut self.search.known).map_err(|why| {
            Missing {
                item,
                why,
                next: next_for_go(),
            }
            .into()
        })
    }

    fn recipe(&mut self, recipe: &'static go::Recipe) -> Result<(), SupplyError> {
        let go = self.go(Item::Krew)?;
        let name = format!("{} {}", recipe.name, recipe.version);
        let step = self
            .report
            .begin(format!("building {name} from its Go module"));
        recipe.build(&go, self.search.cache)?;
        let files: Vec<&str> = recipe
            .programs
            .iter()
            .map(|(_, file)| file.rsplit('/').next().unwrap_or(file))
            .collect();
        let files = if files == [recipe.name] || files.len() < 2 {
            String::new()
        } else {
            format!(" ({})", files.join(", "))
        };
        step.done_as(format!("{name} built from its Go module{files}"));
        Ok(())
    }

    fn python(&mut self, item: Item, program: &python::Program) -> Result<(), SupplyError> {
        let python = python::find().ok_or_else(|| Missing {
            item,
            why: "python3 with its venv module is not on this machine".to_owned(),
            next: "Install Python 3 with its venv module and put `python3` on PATH.".to_owned(),
        })?;
        let cache = self.search.cache;
        let label = format!(
            "{} {} installed from its Python package",
            program.name, program.version
        );
        self.report
            .step(label, || program.install(&python, cache))?;
        self.take(item, Source::Python).map(drop)
    }

    fn busybox(&mut self, item: Item) -> Result<(), SupplyError> {
        let program = busybox::find().ok_or_else(|| SupplyError::Absent {
            what: "The installation of busybox-static".to_owned(),
            path: PathBuf::from("/bin/busybox"),
        })?;
        let version = version::ask(&program, &[]).unwrap_or_else(|| "unknown".to_owned());
        let cache = self.search.cache;
        self.report.step("busybox root folder put together", || {
            busybox::make(&program, &version, cache)
        })?;
        self.take(item, Source::Made).map(drop)
    }

    fn provider(
        &mut self,
        item: Item,
        provider: &super::mirror::Provider,
    ) -> Result<(), SupplyError> {
        let terraform = match self.supplies.path(Item::Terraform) {
            Ok(path) => path.to_owned(),
            Err(_) => self
                .search
                .find(Item::Terraform)
                .map(|part| part.path)
                .ok_or_else(|| Missing {
                    item,
                    why: "terraform, which fetches it, is not on PATH".to_owned(),
                    next: "Install Terraform 1.11 or newer and put `terraform` on PATH.".to_owned(),
                })?,
        };
        match self.fetch(&terraform, provider) {
            Ok(()) => self.take(item, Source::Registry).map(drop),
            Err(SupplyError::Command { log, .. }) => match provider.recipe() {
                Some(recipe) => {
                    self.recipe(recipe)?;
                    self.take(item, Source::Go).map(drop)
                }
                None => Err(Missing {
                    item,
                    why: format!(
                        "no mirror folder on this machine holds it, and the public Terraform \
                         registry did not give it (see `{}`)",
                        log.display()
                    ),
                    next: "Name a mirror folder that holds it in HYBRID_TF_MIRROR.".to_owned(),
                }
                .into()),
            },
            Err(other) => Err(other),
        }
    }

    fn fetch(
        &self,
        terraform: &Path,
        provider: &super::mirror::Provider,
    ) -> Result<(), SupplyError> {
        let step = self.report.begin(format!(
            "asking the public Terraform registry for {}",
            provider.name
        ));
        let result = provider.fetch(terraform, self.search.cache);
        match &result {
            Ok(()) => step.done_as(format!(
                "{} provider fetched from the public Terraform registry",
                provider.name
            )),
            // Not a failure yet: it may be built.
            Err(_) => step.done_as(format!(
                "asked the public Terraform registry for the {} provider, in vain",
                provider.name
            )),
        }
        result
    }
}

/// The groups of alternative packages, each once.
fn packages_for(
    missing: &BTreeSet<Item>,
    has_busybox: bool,
    has_python: impl Fn() -> bool,
) -> Vec<&'static [&'static str]> {
    let mut wanted: Vec<&'static [&'static str]> = missing
        .iter()
        .filter_map(|item| match origin::of(*item).make {
            Make::Package(packages) => Some(packages),
            Make::Busybox if !has_busybox => Some(&["busybox-static"][..]),
            Make::Python(_) if !has_python() => Some(&["python3-venv"][..]),
            _ => None,
        })
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_grouped_and_named_once() {
        let missing = [
            Item::Dockerd,
            Item::DockerCli,
            Item::Etcd,
            Item::Moto,
            Item::AwsCli,
            Item::Kubelet,
        ]
        .into();
        assert_eq!(
            packages_for(&missing, true, || true),
            [
                &["docker-cli", "docker.io"][..],
                &["docker.io"],
                &["etcd-server"]
            ]
        );
        assert_eq!(
            packages_for(&[Item::Moto, Item::AwsCli].into(), true, || false),
            [["python3-venv"]]
        );
        assert_eq!(
            packages_for(&[Item::BusyboxRoot].into(), false, || true),
            [["busybox-static"]]
        );
        assert!(packages_for(&[Item::BusyboxRoot, Item::Krew].into(), true, || true).is_empty());
    }
}
