//! Kubeconfig files: which are read, and which context of them is meant.

use std::env;
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use super::error::ClusterError;

/// Reads the given file, else the files of `KUBECONFIG`, else `~/.kube/config`.
///
/// Files of `KUBECONFIG` that do not exist are passed over, as kubectl does.
pub(super) fn read(given: Option<&Path>) -> Result<Kubeconfig, ClusterError> {
    let places: Vec<PathBuf> = match given {
        Some(path) => vec![path.to_owned()],
        None => match env::var_os("KUBECONFIG") {
            Some(list) if !list.is_empty() => env::split_paths(&list)
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
            _ => env::home_dir()
                .map(|home| home.join(".kube").join("config"))
                .into_iter()
                .collect(),
        },
    };
    merge_files(&places)
}

fn merge_files(places: &[PathBuf]) -> Result<Kubeconfig, ClusterError> {
    let kubeconfig_error = |source| ClusterError::Kubeconfig {
        source: Box::new(source),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in places {
        let next = match Kubeconfig::read_from(path) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _))
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                continue;
            }
            Err(error) => return Err(kubeconfig_error(error)),
        };
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(kubeconfig_error)?,
            None => next,
        });
    }
    merged.ok_or_else(|| ClusterError::NoKubeconfig {
        looked_at: places.to_vec(),
    })
}

fn context_names(kubeconfig: &Kubeconfig) -> Vec<String> {
    kubeconfig
        .contexts
        .iter()
        .map(|named| named.name.clone())
        .collect()
}

pub(super) fn choose_context(
    kubeconfig: &Kubeconfig,
    given: Option<&str>,
) -> Result<String, ClusterError> {
    let available = context_names(kubeconfig);
    let current = kubeconfig
        .current_context
        .as_deref()
        .filter(|name| !name.is_empty());
    let Some(name) = given.or(current) else {
        return Err(ClusterError::NoCurrentContext { available });
    };
    if available.iter().any(|existing| existing == name) {
        return Ok(name.to_owned());
    }
    let nearest = available
        .iter()
        .map(|existing| (strsim::jaro_winkler(name, existing), existing))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, existing)| existing.clone());
    Err(ClusterError::UnknownContext {
        context: name.to_owned(),
        nearest,
        available,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "
current-context: kind-dev
contexts:
- {name: kind-dev, context: {cluster: dev}}
- {name: tunnel, context: {cluster: dev}}
";

    #[test]
    fn files_that_do_not_exist_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let present = folder.path().join("config");
        std::fs::write(&present, KUBECONFIG).unwrap();
        let merged = merge_files(&[missing.clone(), present]).unwrap();
        assert_eq!(context_names(&merged), ["kind-dev", "tunnel"]);
        match merge_files(std::slice::from_ref(&missing)).unwrap_err() {
            ClusterError::NoKubeconfig { looked_at } => assert_eq!(looked_at, [missing]),
            other => unreachable!("{other}"),
        }
    }

    #[test]
    fn no_current_context_lists_what_there_is() {
        let mut kubeconfig = Kubeconfig::from_yaml(KUBECONFIG).unwrap();
        kubeconfig.current_context = None;
        let error = choose_context(&kubeconfig, None).unwrap_err();
        assert!(error.hint().unwrap().contains("`tunnel`"));
    }
}
