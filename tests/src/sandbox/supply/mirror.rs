//! Terraform providers: mirror folders on the machine, and one filled from the public registry.
//!
//! A mirror is known by what it holds, `registry.terraform.io/hashicorp/NAME/…`, and not by its
//! place. Terraform does not follow a link at any of these levels.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::go::Recipe;
use super::{Cache, SupplyError, build, child, recipes, version};

/// The kubernetes provider that is built here, within its mirror.
pub(super) const KUBERNETES_FILE: &str = if cfg!(target_arch = "aarch64") {
    "registry.terraform.io/hashicorp/kubernetes/3.2.1/linux_arm64/terraform-provider-kubernetes_v3.2.1_x5"
} else {
    "registry.terraform.io/hashicorp/kubernetes/3.2.1/linux_amd64/terraform-provider-kubernetes_v3.2.1_x5"
};

/// The platform as Terraform writes it.
const PLATFORM: &str = if cfg!(target_arch = "aarch64") {
    "linux_arm64"
} else {
    "linux_amd64"
};

/// A provider of hashicorp and the versions that the configuration takes.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) name: &'static str,
    at_least: &'static str,
    below: &'static str,
}

/// The AWS provider.
pub(super) static AWS: Provider = Provider {
    name: "aws",
    at_least: "5.80",
    below: "7",
};

/// The kubernetes provider: write-only data works from 3.2.1 on.
pub(super) static KUBERNETES: Provider = Provider {
    name: "kubernetes",
    at_least: "3.2.1",
    below: "4",
};

impl Provider {
    fn takes(&self, found: &str) -> bool {
        let found = version::numbers(found);
        found >= version::numbers(self.at_least) && found < version::numbers(self.below)
    }

    fn constraint(&self) -> String {
        format!(">= {}, < {}", self.at_least, self.below)
    }

    /// The mirror on the machine or in the cache with the newest version that fits.
    pub(super) fn find(&self, cache: &Cache) -> Option<(PathBuf, String)> {
        self.find_in(&places(cache))
    }

    /// How the provider is built when no mirror holds it and the public registry cannot be reached.
    pub(super) fn recipe(&self) -> Option<&'static Recipe> {
        (self.name == KUBERNETES.name).then_some(&recipes::KUBERNETES_PROVIDER)
    }

    fn find_in(&self, places: &[PathBuf]) -> Option<(PathBuf, String)> {
        let mut best: Option<(PathBuf, String)> = None;
        for place in places {
            for found in versions(place, self.name) {
                let newer = best
                    .as_ref()
                    .is_none_or(|(_, best)| version::numbers(&found) > version::numbers(best));
                if self.takes(&found) && newer {
                    best = Some((place.clone(), found));
                }
            }
        }
        best
    }

    /// Fetches the provider from the public registry into the cache's own mirror.
    pub(super) fn fetch(&self, terraform: &Path, cache: &Cache) -> Result<(), SupplyError> {
        let mirror = fetched(cache, self.name);
        build::whole(&mirror, |folder| {
            let source = folder.join("source");
            fs::create_dir(&source).map_err(SupplyError::io("make the folder", &source))?;
            build::write(&source.join("main.tf"), self.requirement())?;
            child::run(
                &format!("The download of the {} provider", self.name),
                child::command(terraform)
                    .current_dir(&source)
                    .env("CHECKPOINT_DISABLE", "1")
                    .env("TF_IN_AUTOMATION", "1")
                    // A closed network is to be noticed in seconds.
                    .env("TF_REGISTRY_CLIENT_TIMEOUT", "5")
                    .env("TF_REGISTRY_DISCOVERY_RETRY", "0")
                    .args(["providers", "mirror"])
                    .arg(format!("-platform={PLATFORM}"))
                    .arg(folder),
                &cache
                    .root()
                    .join(format!("logs/provider-{}.log", self.name)),
            )?;
            build::remove(&source)
        })
    }

    fn requirement(&self) -> String {
        format!(
            "terraform {{\n  required_providers {{\n    {name} = {{\n      source  = \"hashicorp/{name}\"\n      version = \"{constraint}\"\n    }}\n  }}\n}}\n",
            name = self.name,
            constraint = self.constraint(),
        )
    }
}

fn fetched(cache: &Cache, name: &str) -> PathBuf {
    cache.downloads().join(format!("terraform-{name}"))
}

/// Every folder that may be a mirror, those that somebody named first.
fn places(cache: &Cache) -> Vec<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let home = set("HOME").map(PathBuf::from);
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(named) = set("HYBRID_TF_MIRROR") {
        places.extend(env::split_paths(&named));
    }
    let config = set("TF_CLI_CONFIG_FILE")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|home| home.join(".terraformrc")));
    if let Some(text) = config.and_then(|path| fs::read_to_string(path).ok()) {
        places.extend(mirrors_of_config(&text));
    }
    // The implied mirrors of Terraform.
    if let Some(home) = &home {
        places.push(home.join(".terraform.d/plugins"));
    }
    let data = set("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|home| home.join(".local/share")));
    places.extend(data.map(|data| data.join("terraform/plugins")));
    places.push("/usr/local/share/terraform/plugins".into());
    places.push("/usr/share/terraform/plugins".into());
    // Where images of machines without a network tend to put one.
    for above in ["/opt", "/usr/local/share"] {
        let mut below: Vec<PathBuf> = fs::read_dir(above)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        below.sort();
        places.extend(below);
    }
    places.push(fetched(cache, AWS.name));
    places.push(fetched(cache, KUBERNETES.name));
    places.push(recipes::KUBERNETES_PROVIDER.folder(cache));
    places
}

/// The folders of the `filesystem_mirror` blocks of a CLI configuration. `path` is an attribute
/// of nothing else there.
fn mirrors_of_config(text: &str) -> Vec<PathBuf> {
    text.lines()
        .map(|line| {
            line.split_once('{')
                .map_or(line, |(_, inner)| inner)
                .trim_start()
        })
        .filter_map(|line| line.strip_prefix("path")?.trim_start().strip_prefix('='))
        .filter_map(|value| value.trim_start().strip_prefix('"')?.split('"').next())
        .map(PathBuf::from)
        .collect()
}

/// The versions of a provider that a mirror holds for this platform, in both layouts of Terraform.
fn versions(mirror: &Path, name: &str) -> Vec<String> {
    let mut folder = mirror.to_owned();
    for level in ["registry.terraform.io", "hashicorp", name] {
        folder.push(level);
        if !folder.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            return Vec::new();
        }
    }
    let prefix = format!("terraform-provider-{name}_");
    let suffix = format!("_{PLATFORM}.zip");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            if let Some(rest) = file.strip_prefix(&prefix) {
                return rest.strip_suffix(&suffix).map(str::to_owned);
            }
            let mut unpacked = fs::read_dir(entry.path().join(PLATFORM)).ok()?.flatten();
            unpacked
                .any(|program| {
                    program
                        .file_name()
                        .to_string_lossy()
                        .starts_with("terraform-provider-")
                })
                .then_some(file)
        })
        .collect();
    found.sort_by_key(|version| version::numbers(version));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(mirror: &Path, name: &str, version: &str) {
        let folder = mirror.join(format!(
            "registry.terraform.io/hashicorp/{name}/{version}/{PLATFORM}"
        ));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join(format!("terraform-provider-{name}_v{version}_x5")),
            "",
        )
        .unwrap();
    }

    #[test]
    fn a_mirror_is_known_by_what_it_holds_in_either_layout() {
        let folder = tempfile::tempdir().unwrap();
        unpacked(folder.path(), "aws", "5.100.0");
        unpacked(folder.path(), "aws", "5.99.1");
        let packed = folder
            .path()
            .join("registry.terraform.io/hashicorp/kubernetes");
        fs::create_dir_all(&packed).unwrap();
        fs::write(
            packed.join(format!(
                "terraform-provider-kubernetes_3.2.1_{PLATFORM}.zip"
            )),
            "",
        )
        .unwrap();
        fs::write(
            packed.join("terraform-provider-kubernetes_3.3.0_plan9_386.zip"),
            "",
        )
        .unwrap();
        assert_eq!(versions(folder.path(), "aws"), ["5.99.1", "5.100.0"]);
        assert_eq!(versions(folder.path(), "kubernetes"), ["3.2.1"]);
        assert!(versions(folder.path(), "random").is_empty());
    }

    #[test]
    fn the_newest_version_that_fits_wins() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        unpacked(one.path(), "kubernetes", "1.13.4");
        unpacked(one.path(), "kubernetes", "3.2.1");
        unpacked(two.path(), "kubernetes", "3.4.0");
        unpacked(two.path(), "kubernetes", "4.0.0");
        let places = [one.path().to_owned(), two.path().to_owned()];
        let found = KUBERNETES.find_in(&places);
        assert_eq!(found, Some((two.path().to_owned(), "3.4.0".to_owned())));
        assert_eq!(AWS.find_in(&places), None);
    }

    #[test]
    fn a_link_at_the_level_of_the_provider_is_no_mirror() {
        let (real, linked) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        unpacked(real.path(), "aws", "5.100.0");
        let level = linked.path().join("registry.terraform.io/hashicorp");
        fs::create_dir_all(&level).unwrap();
        let target = real.path().join("registry.terraform.io/hashicorp/aws");
        std::os::unix::fs::symlink(target, level.join("aws")).unwrap();
        assert!(versions(linked.path(), "aws").is_empty());
    }

    #[test]
    fn mirrors_are_read_from_the_configuration_of_terraform() {
        let text = "plugin_cache_dir = \"/cache\"\nprovider_installation {\n  filesystem_mirror {\n    path    = \"/srv/mirror\"\n    include = [\"*/*/*\"]\n  }\n  filesystem_mirror { path = \"/other\" }\n  direct {}\n}\n";
        assert_eq!(
            mirrors_of_config(text),
            [Path::new("/srv/mirror"), Path::new("/other")]
        );
    }

    #[test]
    fn what_is_built_is_where_a_mirror_would_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(KUBERNETES_FILE);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let place = folder.path().to_owned();
        let found = KUBERNETES.find_in(std::slice::from_ref(&place));
        assert_eq!(found, Some((place, "3.2.1".to_owned())));
    }
}
