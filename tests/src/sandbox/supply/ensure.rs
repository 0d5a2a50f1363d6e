//! The order of preference: the machine, the cache, a package, a build.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::origin::{self, Make, Program};
use super::version::Known;
use super::{
    Cache, Item, Missing, Source, Supplied, Supplies, SupplyError, apt, build, busybox, go,
    machine, pause, python, version,
};
use crate::sandbox::report::Report;

/// Makes sure of one part.
pub fn ensure(item: Item, cache: &Cache, report: &Report) -> Result<Supplied, SupplyError> {
    ensure_all(&[item], cache, report)?.get(item).cloned()
}

/// Makes sure of several parts: one apt-get call and one Go build per module for all of them.
pub fn ensure_all(items: &[Item], cache: &Cache, report: &Report) -> Result<Supplies, SupplyError> {
    let mut search = Search {
        cache,
        known: Known::load(cache),
    };
    let items: BTreeSet<Item> = items.iter().copied().collect();
    let looking = report.begin("looking for what is here already");
    let (mut supplies, missing) = search.all(&items);
    looking.done_as(format!(
        "{} of {} parts are here already",
        items.len() - missing.len(),
        items.len()
    ));
    search.known.save(cache);
    if missing.is_empty() {
        return Ok(supplies);
    }
    if let Some(obstacle) = search.obstacles(&missing).into_iter().next() {
        return Err(obstacle.into());
    }
    let _mine = build::Exclusive::take(cache, report)?;
    // The run that was waited for may have made them.
    let (found, missing) = search.all(&missing);
    found.iter().for_each(|part| supplies.insert(part.clone()));
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|item| item.name()).collect();
        report.say(format!("Not on this machine yet: {}.", names.join(", ")));
        Making {
            search: &mut search,
            report,
            supplies: &mut supplies,
        }
        .all(&missing)?;
        search.known.save(cache);
    }
    Ok(supplies)
}

/// What of `items` could not be had, each with what to do. Changes nothing.
pub fn check(items: &[Item], cache: &Cache) -> Vec<Missing> {
    let mut search = Search {
        cache,
        known: Known::load(cache),
    };
    let (_, missing) = search.all(&items.iter().copied().collect());
    search.obstacles(&missing)
}

/// Looks for parts and changes nothing.
struct Search<'a> {
    cache: &'a Cache,
    known: Known,
}

impl Search<'_> {
    /// What is here, and the rest.
    fn all(&mut self, items: &BTreeSet<Item>) -> (Supplies, BTreeSet<Item>) {
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

    fn find(&mut self, item: Item) -> Option<Supplied> {
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
                let (path, version) = provider.find_or_stand_in(cache)?;
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
    fn obstacles(&mut self, items: &BTreeSet<Item>) -> Vec<Missing> {
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

fn next_for_go() -> String {
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

/// Installs and builds, with the lock held.
struct Making<'a, 'c> {
    search: &'a mut Search<'c>,
    report: &'a Report,
    supplies: &'a mut Supplies,
}

impl Making<'_, '_> {
    fn all(&mut self, missing: &BTreeSet<Item>) -> Result<(), SupplyError> {
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
            Err(SupplyError::Command { log, .. }) => match provider.stand_in() {
                Some(recipe) => {
                    self.report.warn(format!(
                        "No mirror holds the {item} that the configuration asks for, and the public \
                         Terraform registry cannot be reached: {} takes its place",
                        recipe.version
                    ));
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
            // Not a failure yet: a stand-in may take its place.
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

    #[test]
    fn a_finished_build_is_found_in_the_cache_and_asked_nothing() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        assert!(
            Search {
                cache: &cache,
                known: Known::default()
            }
            .find(Item::EcrLogin)
            .is_none()
        );
        let place = cache.build("amazon-ecr-credential-helper", "0.12.0");
        fs::create_dir_all(&place).unwrap();
        let program = place.join("docker-credential-ecr-login");
        fs::write(&program, "not a program").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

        let part = ensure(Item::EcrLogin, &cache, &Report::silent()).unwrap();
        assert_eq!(
            part.to_string(),
            "docker-credential-ecr-login 0.12.0 found in the cache"
        );
        assert_eq!(part.path, program);
    }

    #[test]
    fn the_stand_in_provider_says_that_it_is_one() {
        use super::super::KubernetesProvider;

        let mut supplies = Supplies::default();
        assert!(supplies.kubernetes_provider().is_err());
        let part = |version: &str| Supplied {
            item: Item::KubernetesProvider,
            path: PathBuf::new(),
            version: version.to_owned(),
            source: Source::Cache,
        };
        supplies.insert(part("3.2.1"));
        assert_eq!(
            supplies.kubernetes_provider().unwrap(),
            KubernetesProvider::AsWritten
        );
        supplies.insert(part("1.13.4"));
        assert_eq!(
            supplies.kubernetes_provider().unwrap(),
            KubernetesProvider::StandIn
        );
    }
}
