//! The pause image: one static program that holds a pod's namespaces and reaps zombies, packed
//! as `docker save` packs images, which is what `ctr images import` reads.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Cache, SupplyError, build, go};
use crate::digest;
use crate::sandbox::endpoints::PAUSE_IMAGE;

/// Changes with the program or the packing.
pub(super) const VERSION: &str = "1";

const FILE: &str = "pause.tar";

/// Waits for the end of the pod; adopted children are reaped as they die.
const PROGRAM: &str = r#"package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err != syscall.EINTR && (err != nil || pid <= 0) {
				break
			}
		}
	}
}
"#;

/// The packed image of an earlier run.
pub(super) fn built(cache: &Cache) -> Option<PathBuf> {
    Some(cache.build("pause", VERSION).join(FILE)).filter(|path| path.is_file())
}

/// Compiles the program and packs the image.
pub(super) fn make(go: &Path, cache: &Cache) -> Result<(), SupplyError> {
    build::whole(&cache.build("pause", VERSION), |folder| {
        let source = folder.join("source");
        fs::create_dir(&source).map_err(SupplyError::io("make the folder", &source))?;
        build::write(
            &source.join("go.mod"),
            "module hybrid.invalid/pause\n\ngo 1.21\n",
        )?;
        build::write(&source.join("main.go"), PROGRAM)?;
        let what = "The build of the pause program";
        let log = cache.root().join(format!("logs/pause-{VERSION}.log"));
        go::compile(go, &source, folder, "-s -w", &["."], what, &log)?;
        build::remove(&source)?;
        let program = folder.join("pause");
        let bytes = fs::read(&program).map_err(SupplyError::io("read", &program))?;
        let path = folder.join(FILE);
        let archive = pack(&bytes).map_err(SupplyError::io("pack", &path))?;
        build::write(&path, archive)
    })
}

/// An image of one layer with `/pause` in it, for the architecture that this program runs on.
fn pack(program: &[u8]) -> std::io::Result<Vec<u8>> {
    let layer = tar_of(&[("pause", program, 0o755)])?;
    let layer_id = digest::sha256(&layer);
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": ["/pause"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_id}")] },
    })
    .to_string();
    let config_name = format!("{}.json", digest::sha256(config.as_bytes()));
    let layer_name = format!("{layer_id}/layer.tar");
    let manifest =
        json!([{ "Config": config_name, "RepoTags": [PAUSE_IMAGE], "Layers": [layer_name] }])
            .to_string();
    tar_of(&[
        (&config_name, config.as_bytes(), 0o644),
        (&layer_name, &layer, 0o644),
        ("manifest.json", manifest.as_bytes(), 0o644),
    ])
}

/// A tar archive of plain files that is the same for the same input.
fn tar_of(files: &[(&str, &[u8], u32)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        archive.append_data(&mut header, name, *content)?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn unpack(archive: &[u8]) -> BTreeMap<String, (Vec<u8>, u32)> {
        let mut archive = tar::Archive::new(archive);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().to_string_lossy().into_owned();
                let mode = entry.header().mode().unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (name, (content, mode))
            })
            .collect()
    }

    #[test]
    fn the_image_is_named_and_its_digests_are_those_of_its_files() {
        let files = unpack(&pack(b"program").unwrap());
        let manifest: serde_json::Value =
            serde_json::from_slice(&files["manifest.json"].0).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], PAUSE_IMAGE);

        let config_name = manifest[0]["Config"].as_str().unwrap();
        let config = &files[config_name].0;
        assert_eq!(config_name, format!("{}.json", digest::sha256(config)));

        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()].0;
        let config: serde_json::Value = serde_json::from_slice(config).unwrap();
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", digest::sha256(layer))
        );
        assert_eq!(unpack(layer)["pause"], (b"program".to_vec(), 0o755));
    }

    #[test]
    fn the_same_program_gives_the_same_image() {
        assert_eq!(pack(b"program").unwrap(), pack(b"program").unwrap());
    }
}
