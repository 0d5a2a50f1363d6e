//! All parts in an order in which each needs only earlier ones.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{aws, containers, control_plane, images, node};
use crate::sandbox::supervisor::{Kind, PartSpec, Readiness};
use crate::sandbox::supply::{Item, Supplies};
use crate::sandbox::{Layout, SandboxError};

/// Names of the parts, in their order.
pub const NAMES: [&str; 12] = [
    containers::CONTAINERD,
    control_plane::ETCD,
    aws::MOTO,
    aws::REGISTRY,
    aws::FRONT,
    control_plane::API_SERVER,
    containers::DOCKERD,
    images::IMAGES,
    control_plane::CONTROLLER_MANAGER,
    control_plane::SCHEDULER,
    node::KUBELET,
    node::PROXY,
];

/// What must be there before the parts can be started and the contract be applied.
pub const ITEMS: [Item; 23] = [
    Item::Containerd,
    Item::Runc,
    Item::CniPlugins,
    Item::Dockerd,
    Item::DockerCli,
    Item::Buildx,
    Item::DockerRegistry,
    Item::Etcd,
    Item::KubeApiserver,
    Item::KubeControllerManager,
    Item::KubeScheduler,
    Item::Kubelet,
    Item::KubeProxy,
    Item::Moto,
    Item::Iptables,
    Item::Conntrack,
    Item::Iproute2,
    Item::PauseImage,
    Item::BusyboxRoot,
    Item::Kubectl,
    Item::Terraform,
    Item::AwsProvider,
    Item::KubernetesProvider,
];

/// Writes one part's settings and says how to start it.
type Make = fn(&Bench<'_>) -> Result<PartSpec, SandboxError>;

/// Writes the parts' settings and returns how to start them.
pub fn build(layout: &Layout, supplies: &Supplies) -> Result<Vec<PartSpec>, SandboxError> {
    let bench = Bench {
        layout,
        supplies,
        environment: environment(layout, supplies)?,
        written: RefCell::default(),
    };
    let makers: [Make; NAMES.len()] = [
        containers::containerd,
        control_plane::etcd,
        aws::moto,
        aws::registry,
        aws::front,
        control_plane::api_server,
        containers::dockerd,
        images::part,
        control_plane::controller_manager,
        control_plane::scheduler,
        node::kubelet,
        node::proxy,
    ];
    makers
        .iter()
        .map(|make| {
            let mut part = make(&bench)?;
            part.fingerprint = bench.written.take().finish();
            Ok(part)
        })
        .collect()
}

/// What a part is put together on.
pub(super) struct Bench<'a> {
    pub(super) layout: &'a Layout,
    supplies: &'a Supplies,
    environment: BTreeMap<String, String>,
    /// What was written for the part that is being put together.
    written: RefCell<DefaultHasher>,
}

impl Bench<'_> {
    /// Where a supplied program or folder is.
    pub(super) fn path(&self, item: Item) -> Result<&Path, SandboxError> {
        Ok(self.supplies.path(item)?)
    }

    /// A part that stays, with the usual patience.
    pub(super) fn service(&self, name: &str, program: &Path) -> PartSpec {
        PartSpec {
            name: name.to_owned(),
            kind: Kind::Service,
            command: vec![text(program)],
            environment: self.environment.clone(),
            after: Vec::new(),
            restart_with: Vec::new(),
            fingerprint: 0,
            ready: Vec::new(),
            log: self.layout.log(name),
            start_within: 60,
            stop_within: 5,
        }
    }

    /// The folder that a part keeps its data in, made when it is not there.
    pub(super) fn data(&self, part: &str) -> Result<PathBuf, SandboxError> {
        let dir = self.layout.data(part);
        fs::create_dir_all(&dir).map_err(SandboxError::io("create", &dir))?;
        Ok(dir)
    }

    /// Writes a file with settings, and returns its path.
    pub(super) fn settings(&self, name: &str, content: &str) -> Result<PathBuf, SandboxError> {
        let path = self.layout.etc().join(name);
        content.hash(&mut *self.written.borrow_mut());
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(SandboxError::io("create", dir))?;
        }
        // An unchanged file keeps its time, for those who look.
        if fs::read_to_string(&path).is_ok_and(|kept| kept == content) {
            return Ok(path);
        }
        fs::write(&path, content).map_err(SandboxError::io("write", &path))?;
        Ok(path)
    }

    /// A certificate or key.
    pub(super) fn pki(&self, file: &str) -> String {
        text(&self.layout.pki().join(file))
    }
}

impl PartSpec {
    pub(super) fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(super) fn after(mut self, needs: &[&str]) -> Self {
        self.after = needs.iter().map(ToString::to_string).collect();
        self
    }

    pub(super) fn ready(mut self, readiness: Readiness) -> Self {
        self.ready.push(readiness);
        self
    }
}

/// The environment of every part: programs find each other, and nothing of the user's is seen.
fn environment(
    layout: &Layout,
    supplies: &Supplies,
) -> Result<BTreeMap<String, String>, SandboxError> {
    let mut path: Vec<String> = Vec::new();
    for item in [
        Item::Runc,
        Item::Containerd,
        Item::Dockerd,
        Item::Iptables,
        Item::Conntrack,
    ] {
        if let Some(dir) = supplies.path(item)?.parent() {
            path.push(text(dir));
        }
    }
    path.extend(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(ToString::to_string));
    let mut seen = Vec::new();
    path.retain(|dir| {
        let first = !seen.contains(dir);
        seen.push(dir.clone());
        first
    });
    Ok(BTreeMap::from([
        ("PATH".to_owned(), path.join(":")),
        ("HOME".to_owned(), text(&layout.home())),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("HYBRID_SANDBOX_DIR".to_owned(), text(layout.state())),
        ("HYBRID_CACHE".to_owned(), text(layout.cache().root())),
    ]))
}

/// Paths of the sandbox are checked to be text before anything is started.
pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::supply::{Cache, Source, Supplied};

    fn specs() -> Vec<PartSpec> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path(), Cache::at(dir.path()));
        let mut supplies = Supplies::default();
        for item in ITEMS {
            supplies.insert(Supplied {
                item,
                path: PathBuf::from("/bin").join(item.name()),
                version: "1".to_owned(),
                source: Source::Machine,
            });
        }
        build(&layout, &supplies).unwrap()
    }

    #[test]
    fn each_part_needs_only_earlier_ones() {
        let specs = specs();
        for (at, spec) in specs.iter().enumerate() {
            for need in spec.after.iter().chain(&spec.restart_with) {
                assert!(
                    specs[..at].iter().any(|earlier| earlier.name == *need),
                    "{need}"
                );
            }
        }
    }

    #[test]
    fn the_list_of_names_is_the_list_of_parts() {
        let names: Vec<String> = specs().into_iter().map(|spec| spec.name).collect();
        assert_eq!(names, NAMES);
    }

    #[test]
    fn nothing_of_the_callers_environment_reaches_a_part() {
        for spec in specs() {
            let names: Vec<&str> = spec
                .environment
                .keys()
                .map(String::as_str)
                // The emulator's own settings, which the sandbox makes.
                .filter(|name| !(spec.name == "moto" && name.starts_with("MOTO_")))
                .collect();
            assert_eq!(
                names,
                ["HOME", "HYBRID_CACHE", "HYBRID_SANDBOX_DIR", "LANG", "PATH"]
            );
        }
    }
}
