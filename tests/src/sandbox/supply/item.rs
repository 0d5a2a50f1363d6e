//! The parts by name.

use std::fmt;

/// A part of the sandbox. Unless it says otherwise its path is that of an executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// containerd; `ctr` and the shims are beside it.
    Containerd,
    /// runc.
    Runc,
    /// The folder with the CNI plugins (`bridge`, `host-local`, `portmap`, `loopback`).
    CniPlugins,
    /// The Docker engine.
    Dockerd,
    /// The docker command.
    DockerCli,
    /// The buildx plugin of the docker command.
    Buildx,
    /// The registry of the distribution project, 2.8.
    DockerRegistry,
    /// etcd.
    Etcd,
    /// kube-apiserver.
    KubeApiserver,
    /// kube-controller-manager.
    KubeControllerManager,
    /// kube-scheduler.
    KubeScheduler,
    /// kubelet.
    Kubelet,
    /// kube-proxy.
    KubeProxy,
    /// kubectl.
    Kubectl,
    /// terraform.
    Terraform,
    /// `tofu`, of OpenTofu.
    OpenTofu,
    /// The AWS command line.
    AwsCli,
    /// `moto_server`, the emulator of the AWS APIs.
    Moto,
    /// iptables.
    Iptables,
    /// conntrack.
    Conntrack,
    /// socat.
    Socat,
    /// `ip`, of iproute2.
    Iproute2,
    /// `keyctl`, of keyutils.
    Keyctl,
    /// The mirror folder that holds `registry.terraform.io/hashicorp/aws`.
    AwsProvider,
    /// The mirror folder that holds `registry.terraform.io/hashicorp/kubernetes`.
    KubernetesProvider,
    /// checkov, which judges a Terraform configuration by the rules of the trade.
    Checkov,
    /// buildkitd, a builder outside of the engine.
    Buildkit,
    /// `dockerd` 29 or newer, which keeps images in containerd.
    DockerdOfToday,
    /// krew, the plugin manager of kubectl.
    Krew,
    /// `docker-credential-ecr-login` 0.12.0, the peer for side-by-side figures.
    EcrLogin,
    /// The pause image `localhost/pause:1` as a docker-archive file, for `ctr images import`.
    PauseImage,
    /// The root folder of `busybox:1.36`, for `tar -c | docker import`.
    BusyboxRoot,
    /// `gnome-keyring-daemon`.
    GnomeKeyring,
    /// `dbus-run-session`.
    Dbus,
    /// podman.
    Podman,
    /// faketime, which gives one process another time.
    Faketime,
}

impl Item {
    /// The name that people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Runc => "runc",
            Self::CniPlugins => "CNI plugins",
            Self::Dockerd => "dockerd",
            Self::DockerCli => "docker",
            Self::Buildx => "docker-buildx",
            Self::DockerRegistry => "docker-registry",
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Terraform => "terraform",
            Self::OpenTofu => "tofu",
            Self::AwsCli => "aws",
            Self::Moto => "moto",
            Self::Iptables => "iptables",
            Self::Conntrack => "conntrack",
            Self::Socat => "socat",
            Self::Iproute2 => "ip",
            Self::Keyctl => "keyctl",
            Self::AwsProvider => "aws provider",
            Self::KubernetesProvider => "kubernetes provider",
            Self::Checkov => "checkov",
            Self::Buildkit => "buildkitd",
            Self::DockerdOfToday => "dockerd of today",
            Self::Krew => "krew",
            Self::EcrLogin => "docker-credential-ecr-login",
            Self::PauseImage => "pause image",
            Self::BusyboxRoot => "busybox root folder",
            Self::GnomeKeyring => "gnome-keyring",
            Self::Dbus => "dbus-run-session",
            Self::Podman => "podman",
            Self::Faketime => "faketime",
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
