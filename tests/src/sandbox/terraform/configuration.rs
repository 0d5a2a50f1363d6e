//! The copy of the project's configuration that is applied, and Terraform's own settings.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{Settings, TerraformError};

/// What Terraform makes in a folder; it is neither copied nor removed.
const MADE_BY_TERRAFORM: [&str; 3] = [".terraform", ".terraform.lock.hcl", "terraform.tfstate"];

/// Lays the copy out and returns its fingerprint: another one means that it has to be applied anew.
pub(super) fn lay_out(settings: &Settings) -> Result<String, TerraformError> {
    let mut digest = Sha256::new();
    copy(&settings.source, &settings.root, &mut digest)?;
    // Files of this kind are read without being named: `terraform plan` works in the copy as it is,
    // for people too. They are read in the order of their names, the later one wins.
    let environment = settings
        .root
        .join("environments")
        .join(format!("{}.tfvars", settings.workspace));
    let values = read(&environment)?;
    write(&settings.root.join("environment.auto.tfvars"), &values)?;
    let own = format!(
        "kubeconfig       = {kubeconfig:?}\nkube_context     = {context:?}\nallowed_contexts = [{context:?}]\n",
        kubeconfig = settings.kubeconfig.display().to_string(),
        context = settings.context,
    );
    write(&settings.root.join("sandbox.auto.tfvars"), &own)?;
    digest.update(own);
    write(&settings.cli_config, &cli_config(settings))?;
    Ok(STANDARD.encode(digest.finalize()))
}

fn copy(from: &Path, to: &Path, digest: &mut Sha256) -> Result<(), TerraformError> {
    fs::create_dir_all(to).map_err(TerraformError::io("create", to))?;
    let mut entries = fs::read_dir(from)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(TerraformError::io("read", from))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if MADE_BY_TERRAFORM.iter().any(|made| name.starts_with(made)) || name == "backend.hcl" {
            continue;
        }
        let target = to.join(&*name);
        if path.is_dir() {
            copy(&path, &target, digest)?;
            continue;
        }
        let text = read(&path)?;
        if name.ends_with(".tf") || name.ends_with(".tfvars") {
            digest.update(name.as_bytes());
            digest.update(&text);
        }
        write(&target, &text)?;
    }
    remove_stale(from, to)
}

/// A file that the project no longer has would be applied for ever.
fn remove_stale(from: &Path, to: &Path) -> Result<(), TerraformError> {
    let entries = fs::read_dir(to).map_err(TerraformError::io("read", to))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_configuration = Path::new(&name)
            .extension()
            .is_some_and(|kind| kind == "tf");
        if is_configuration && !from.join(&name).exists() {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Nothing is looked up outside the two mirrors.
fn cli_config(settings: &Settings) -> String {
    let mirror = |path: &Path, provider: &str| {
        format!(
            "  filesystem_mirror {{\n    path    = {path:?}\n    include = [\"registry.terraform.io/hashicorp/{provider}\"]\n  }}\n",
            path = path.display().to_string(),
        )
    };
    format!(
        "disable_checkpoint = true\nprovider_installation {{\n{}{}}}\n",
        mirror(&settings.aws_mirror, "aws"),
        mirror(&settings.kubernetes_mirror, "kubernetes"),
    )
}

fn read(path: &Path) -> Result<String, TerraformError> {
    fs::read_to_string(path).map_err(TerraformError::io("read", path))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), TerraformError> {
    fs::write(path, text).map_err(TerraformError::io("write", path))
}

pub(super) fn remove(path: &Path) -> Result<(), TerraformError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(TerraformError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
