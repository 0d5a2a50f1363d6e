//! Workspaces: which one is selected, and which ones exist. Nothing here creates one.

use std::io;
use std::path::PathBuf;

use aws_sdk_s3::error::SdkError;
use ecr_hybrid::aws_error::AwsError;

use super::access::Access;
use super::backend::S3Backend;
use super::keys::{BadWorkspace, Workspace, list_prefix, workspace_of};
use super::root::Root;

/// The workspace that Terraform would use: `TF_WORKSPACE`, else what `workspace select` left in
/// the data folder, else `default`.
pub fn current(root: &Root) -> Result<Workspace, BadWorkspace> {
    if let Some(name) = root
        .env()
        .workspace
        .as_deref()
        .filter(|name| !name.is_empty())
    {
        return Workspace::new(name);
    }
    let selected = std::fs::read_to_string(root.data_dir().join("environment"));
    match selected.as_deref().map(str::trim) {
        Ok(name) if !name.is_empty() => Workspace::new(name),
        _ => Ok(Workspace::default_workspace()),
    }
}

/// What `terraform workspace select` left in a data folder. Terraform changes it whenever it makes a
/// workspace; with this it is put back.
#[derive(Debug)]
pub struct Selection {
    file: PathBuf,
    before: Option<Vec<u8>>,
}

impl Selection {
    /// Remembers what is selected in the data folder of `root`.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        let file = root.data_dir().join("environment");
        Self {
            before: std::fs::read(&file).ok(),
            file,
        }
    }

    /// Selects what was selected.
    pub fn restore(self) -> io::Result<()> {
        match self.before {
            Some(before) => std::fs::write(self.file, before),
            None => match std::fs::remove_file(self.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

/// The workspaces that have a state in the bucket, `default` first even when it has none.
///
/// Needs `s3:ListBucket` on the bucket.
pub async fn list(access: &Access, backend: &S3Backend) -> Result<Vec<Workspace>, AwsError> {
    let prefix = list_prefix(&backend.workspace_key_prefix);
    let mut pages = access
        .s3
        .list_objects_v2()
        .bucket(&backend.bucket)
        .prefix(prefix)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error: SdkError<_, _>| {
            access.failure(
                format!("list the workspaces in s3://{}", backend.bucket),
                &error,
            )
        })?;
        found.extend(page.contents().iter().filter_map(|object| {
            workspace_of(object.key()?, &backend.workspace_key_prefix, &backend.key)
        }));
    }
    found.sort();
    found.dedup();
    found.insert(0, Workspace::default_workspace());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::root::TerraformEnv;

    #[test]
    fn the_environment_wins_over_the_selection_and_the_selection_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.tf"), "").unwrap();
        std::fs::create_dir(dir.path().join(".terraform")).unwrap();
        let current_with = |workspace: Option<&str>| {
            let env = TerraformEnv {
                workspace: workspace.map(str::to_owned),
                ..TerraformEnv::default()
            };
            current(&Root::open(dir.path(), None, env).unwrap())
        };
        assert_eq!(current_with(None).unwrap().as_str(), "default");
        std::fs::write(dir.path().join(".terraform/environment"), "dev").unwrap();
        assert_eq!(current_with(None).unwrap().as_str(), "dev");
        assert_eq!(current_with(Some("prod")).unwrap().as_str(), "prod");
        assert!(current_with(Some("a/b")).is_err());
    }

    #[test]
    fn the_selection_is_put_back_whether_there_was_one_or_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.tf"), "").unwrap();
        std::fs::create_dir(dir.path().join(".terraform")).unwrap();
        let root = Root::open(dir.path(), None, TerraformEnv::default()).unwrap();
        let file = root.data_dir().join("environment");
        let nothing = Selection::of(&root);
        std::fs::write(&file, "new").unwrap();
        nothing.restore().unwrap();
        assert!(!file.exists());
        std::fs::write(&file, "dev").unwrap();
        let dev = Selection::of(&root);
        std::fs::write(&file, "new").unwrap();
        dev.restore().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "dev");
    }
}
