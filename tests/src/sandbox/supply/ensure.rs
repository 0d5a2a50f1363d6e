//! What callers ask for: one part, several, or what stands in the way of them.

use std::collections::BTreeSet;

use super::making::Making;
use super::search::Search;
use super::{Cache, Item, Missing, Supplied, Supplies, SupplyError, apt, build};
use crate::sandbox::report::Report;

/// Makes sure of one part.
pub fn ensure(item: Item, cache: &Cache, report: &Report) -> Result<Supplied, SupplyError> {
    ensure_all(&[item], cache, report)?.get(item).cloned()
}

/// Makes sure of several parts: one apt-get call and one Go build per module for all of them.
pub fn ensure_all(items: &[Item], cache: &Cache, report: &Report) -> Result<Supplies, SupplyError> {
    let mut search = Search::new(cache);
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

/// Installs Debian packages that no part is made of.
pub fn packages(names: &[&str], cache: &Cache, report: &Report) -> Result<(), SupplyError> {
    let _mine = build::Exclusive::take(cache, report)?;
    let groups: Vec<&[&str]> = names.iter().map(std::slice::from_ref).collect();
    let label = format!("{} Debian packages installed", names.len());
    report.step(label, || apt::install(&groups, &cache.root().join("logs")))
}

/// What of `items` could not be had, each with what to do. Changes nothing.
pub fn check(items: &[Item], cache: &Cache) -> Vec<Missing> {
    let mut search = Search::new(cache);
    let (_, missing) = search.all(&items.iter().copied().collect());
    search.obstacles(&missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_build_is_found_in_the_cache_and_asked_nothing() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        assert!(Search::new(&cache).find(Item::EcrLogin).is_none());
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
}
