//! How each part is looked for, and how it is had when it is not there: one table.

use super::go::Recipe;
use super::mirror::Provider;
use super::{Item, mirror, python, recipes};

/// What is looked for on the machine.
#[derive(Debug)]
pub(super) struct Program {
    /// The executable's name.
    pub(super) file: &'static str,
    /// Folders beside those of `PATH`.
    pub(super) also_in: &'static [&'static str],
    /// The arguments that make it tell its version; none when it does not.
    pub(super) ask: &'static [&'static str],
    pub(super) takes: Takes,
}

/// Which versions of what the machine has will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Any,
    AtLeast(&'static str),
    /// The same major and minor number.
    Series(&'static str),
}

/// How a part that is not there is had.
#[derive(Debug)]
pub(super) enum Make {
    /// A Debian package: the first of these that is known.
    Package(&'static [&'static str]),
    /// The file that a recipe gives.
    Go(&'static Recipe, &'static str),
    Python(&'static python::Program),
    Provider(&'static Provider),
    Pause,
    Busybox,
    /// It cannot be made: this sentence says what to do.
    ByHand(&'static str),
}

/// The row of one part.
#[derive(Debug)]
pub(super) struct Origin {
    /// `None` where only the very version that was tried will do.
    pub(super) program: Option<Program>,
    pub(super) make: Make,
}

const VERSION: &[&str] = &["--version"];
/// Where docker looks for plugins that are not a user's own.
const DOCKER_PLUGINS: &[&str] = &[
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
const CNI_FOLDERS: &[&str] = &["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

pub(super) fn of(item: Item) -> Origin {
    match item {
        Item::Containerd => built(
            "containerd",
            VERSION,
            Takes::AtLeast("2.1"),
            &recipes::CONTAINERD,
        ),
        Item::Runc => package("runc", VERSION, &["runc"]),
        Item::CniPlugins => Origin {
            program: Some(Program {
                file: "host-local",
                also_in: CNI_FOLDERS,
                ask: &[],
                takes: Takes::Any,
            }),
            make: Make::Package(&["containernetworking-plugins"]),
        },
        Item::Dockerd => package("dockerd", VERSION, &["docker.io"]),
        Item::DockerCli => package("docker", VERSION, &["docker-cli", "docker.io"]),
        Item::Buildx => Origin {
            program: Some(Program {
                file: "docker-buildx",
                also_in: DOCKER_PLUGINS,
                ask: &["version"],
                takes: Takes::AtLeast("0.10"),
            }),
            make: Make::Go(&recipes::BUILDX, "docker-buildx"),
        },
        Item::DockerRegistry => package("docker-registry", VERSION, &["docker-registry"]),
        Item::Etcd => package("etcd", VERSION, &["etcd-server"]),
        Item::KubeApiserver => kubernetes("kube-apiserver"),
        Item::KubeControllerManager => kubernetes("kube-controller-manager"),
        Item::KubeScheduler => kubernetes("kube-scheduler"),
        Item::Kubelet => kubernetes("kubelet"),
        Item::KubeProxy => kubernetes("kube-proxy"),
        Item::Kubectl => built(
            "kubectl",
            &["version", "--client"],
            Takes::AtLeast("1.26"),
            &recipes::KUBECTL,
        ),
        Item::Terraform => Origin {
            program: Some(program("terraform", &["version"], Takes::AtLeast("1.11"))),
            make: Make::ByHand("Install Terraform 1.11 or newer and put `terraform` on PATH."),
        },
        Item::OpenTofu => built(
            "tofu",
            &["version"],
            Takes::AtLeast("1.11"),
            &recipes::OPENTOFU,
        ),
        Item::AwsCli => Origin {
            program: Some(program("aws", VERSION, Takes::Any)),
            make: Make::Python(&python::AWS_CLI),
        },
        // Its version is asked of its Python and not of the command.
        Item::Moto => Origin {
            program: Some(program("moto_server", &[], Takes::AtLeast("5.1"))),
            make: Make::Python(&python::MOTO),
        },
        Item::Iptables => package("iptables", VERSION, &["iptables"]),
        Item::Conntrack => package("conntrack", VERSION, &["conntrack"]),
        Item::Socat => package("socat", &["-V"], &["socat"]),
        Item::Iproute2 => package("ip", &["-V"], &["iproute2"]),
        Item::Keyctl => package("keyctl", VERSION, &["keyutils"]),
        Item::AwsProvider => only_made(Make::Provider(&mirror::AWS)),
        Item::KubernetesProvider => only_made(Make::Provider(&mirror::KUBERNETES)),
        // Each version has other rules.
        Item::Checkov => only_made(Make::Python(&python::CHECKOV)),
        Item::Buildkit => built(
            "buildkitd",
            VERSION,
            Takes::AtLeast("0.12"),
            &recipes::BUILDKIT,
        ),
        Item::DockerdOfToday => built("dockerd", VERSION, Takes::AtLeast("29"), &recipes::MOBY),
        Item::Krew => only_made(Make::Go(&recipes::KREW, "krew")),
        Item::EcrLogin => only_made(Make::Go(&recipes::ECR_LOGIN, "docker-credential-ecr-login")),
        Item::PauseImage => only_made(Make::Pause),
        Item::BusyboxRoot => only_made(Make::Busybox),
        Item::GnomeKeyring => package("gnome-keyring-daemon", VERSION, &["gnome-keyring"]),
        Item::Dbus => package("dbus-run-session", VERSION, &["dbus-daemon", "dbus"]),
        Item::Podman => package("podman", VERSION, &["podman"]),
        Item::Faketime => package("faketime", VERSION, &["faketime"]),
    }
}

const fn program(file: &'static str, ask: &'static [&'static str], takes: Takes) -> Program {
    Program {
        file,
        also_in: &[],
        ask,
        takes,
    }
}

const fn package(
    file: &'static str,
    ask: &'static [&'static str],
    packages: &'static [&'static str],
) -> Origin {
    Origin {
        program: Some(program(file, ask, Takes::Any)),
        make: Make::Package(packages),
    }
}

/// What the machine is not searched for.
const fn only_made(make: Make) -> Origin {
    Origin {
        program: None,
        make,
    }
}

/// A program that is built from its Go module where the machine has none that will do.
const fn built(
    file: &'static str,
    ask: &'static [&'static str],
    takes: Takes,
    recipe: &'static Recipe,
) -> Origin {
    Origin {
        program: Some(program(file, ask, takes)),
        make: Make::Go(recipe, file),
    }
}

fn kubernetes(file: &'static str) -> Origin {
    let takes = Takes::Series("1.34");
    built(file, VERSION, takes, &recipes::KUBERNETES)
}

impl Takes {
    pub(super) fn accepts(self, found: &str) -> bool {
        let numbers = super::version::numbers;
        match self {
            Self::Any => true,
            Self::AtLeast(least) => numbers(found) >= numbers(least),
            Self::Series(series) => numbers(found).starts_with(&numbers(series)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_the_same_minor_version_and_at_least_is_any_newer_one() {
        assert!(Takes::Series("1.34").accepts("1.34.9"));
        assert!(!Takes::Series("1.34").accepts("1.3.4"));
        assert!(!Takes::Series("1.34").accepts("1.35.0"));
        assert!(Takes::AtLeast("1.11").accepts("1.11.0"));
        assert!(!Takes::AtLeast("1.11").accepts("1.9.8"));
        assert!(!Takes::AtLeast("1.11").accepts(""));
        assert!(Takes::Any.accepts(""));
    }
}
