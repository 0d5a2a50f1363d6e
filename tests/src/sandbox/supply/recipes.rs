//! The Go modules that the sandbox builds, at the versions that were tried together.

use super::go::Recipe;

/// The staging modules that Kubernetes requires at `v0.0.0`, and so must be replaced.
const STAGING: &[&str] = &[
    "k8s.io/api",
    "k8s.io/apiextensions-apiserver",
    "k8s.io/apimachinery",
    "k8s.io/apiserver",
    "k8s.io/cli-runtime",
    "k8s.io/client-go",
    "k8s.io/cloud-provider",
    "k8s.io/cluster-bootstrap",
    "k8s.io/code-generator",
    "k8s.io/component-base",
    "k8s.io/component-helpers",
    "k8s.io/controller-manager",
    "k8s.io/cri-api",
    "k8s.io/cri-client",
    "k8s.io/csi-translation-lib",
    "k8s.io/dynamic-resource-allocation",
    "k8s.io/endpointslice",
    "k8s.io/externaljwt",
    "k8s.io/kms",
    "k8s.io/kube-aggregator",
    "k8s.io/kube-controller-manager",
    "k8s.io/kube-proxy",
    "k8s.io/kube-scheduler",
    "k8s.io/kubectl",
    "k8s.io/kubelet",
    "k8s.io/metrics",
    "k8s.io/mount-utils",
    "k8s.io/pod-security-admission",
    "k8s.io/sample-apiserver",
];

/// Unstamped, Kubernetes calls itself v0.0.0-master and clients complain.
const KUBERNETES_STAMPS: &[(&str, &str)] = &[
    ("k8s.io/component-base/version.gitVersion", "v1.34.2"),
    ("k8s.io/component-base/version.gitMajor", "1"),
    ("k8s.io/component-base/version.gitMinor", "34"),
];

/// The five server commands of Kubernetes.
pub(super) static KUBERNETES: Recipe = Recipe {
    name: "kubernetes",
    module: "k8s.io/kubernetes",
    version: "1.34.2",
    replaces: &[],
    pinned: Some((STAGING, "0.34.2")),
    stamps: KUBERNETES_STAMPS,
    programs: &[
        ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
        (
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kube-controller-manager",
        ),
        ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"),
    ],
};

/// kubectl, apart from the server commands because most machines have one.
pub(super) static KUBECTL: Recipe = Recipe {
    name: "kubectl",
    module: "k8s.io/kubernetes",
    version: "1.34.2",
    replaces: &[],
    pinned: Some((STAGING, "0.34.2")),
    stamps: KUBERNETES_STAMPS,
    programs: &[("k8s.io/kubernetes/cmd/kubectl", "kubectl")],
};

/// buildx, which Debian does not package.
pub(super) static BUILDX: Recipe = Recipe {
    name: "buildx",
    module: "github.com/docker/buildx",
    version: "0.29.1",
    replaces: &[],
    pinned: None,
    stamps: &[("github.com/docker/buildx/version.Version", "v0.29.1")],
    programs: &[("github.com/docker/buildx/cmd/buildx", "docker-buildx")],
};

/// containerd as clusters have it today. Debian's is of a series that nobody's cluster has any more, and
/// tells a pull that failed in other words.
pub(super) static CONTAINERD: Recipe = Recipe {
    name: "containerd",
    module: "github.com/containerd/containerd/v2",
    version: "2.2.1",
    replaces: &[],
    pinned: None,
    stamps: &[(
        "github.com/containerd/containerd/v2/version.Version",
        "2.2.1",
    )],
    programs: &[
        (
            "github.com/containerd/containerd/v2/cmd/containerd",
            "containerd",
        ),
        (
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "containerd-shim-runc-v2",
        ),
        ("github.com/containerd/containerd/v2/cmd/ctr", "ctr"),
    ],
};

/// BuildKit's daemon, for the tests with a builder of the user's own.
pub(super) static BUILDKIT: Recipe = Recipe {
    name: "buildkit",
    module: "github.com/moby/buildkit",
    version: "0.25.2",
    replaces: &[],
    pinned: None,
    stamps: &[("github.com/moby/buildkit/version.Version", "v0.25.2")],
    programs: &[("github.com/moby/buildkit/cmd/buildkitd", "buildkitd")],
};

/// The Docker engine of today, whose release 29 Go knows as betas of its module's second version. It
/// keeps images in containerd, and speaks of refusals in other words than Debian's.
pub(super) static MOBY: Recipe = Recipe {
    name: "moby",
    module: "github.com/moby/moby/v2",
    version: "2.0.0-beta.18",
    replaces: &[],
    pinned: None,
    stamps: &[("github.com/moby/moby/v2/dockerversion.Version", "29.0.0")],
    programs: &[("github.com/moby/moby/v2/cmd/dockerd", "dockerd")],
};

/// krew, for the test that installs the plugin.
pub(super) static KREW: Recipe = Recipe {
    name: "krew",
    module: "sigs.k8s.io/krew",
    version: "0.4.4",
    replaces: &[],
    pinned: None,
    stamps: &[("sigs.k8s.io/krew/internal/version.gitTag", "v0.4.4")],
    programs: &[("sigs.k8s.io/krew/cmd/krew", "krew")],
};

/// The credential helper of AWS, the peer for side-by-side figures.
pub(super) static ECR_LOGIN: Recipe = Recipe {
    name: "amazon-ecr-credential-helper",
    module: "github.com/awslabs/amazon-ecr-credential-helper/ecr-login",
    version: "0.12.0",
    replaces: &[],
    pinned: None,
    stamps: &[(
        "github.com/awslabs/amazon-ecr-credential-helper/ecr-login/version.Version",
        "0.12.0",
    )],
    programs: &[(
        "github.com/awslabs/amazon-ecr-credential-helper/ecr-login/cli/docker-credential-ecr-login",
        "docker-credential-ecr-login",
    )],
};

/// OpenTofu, for the tests that read what it wrote.
pub(super) static OPENTOFU: Recipe = Recipe {
    name: "opentofu",
    module: "github.com/opentofu/opentofu",
    version: "1.12.6",
    replaces: &[(
        "github.com/hashicorp/hcl/v2",
        "github.com/opentofu/hcl/v2",
        "2.20.2-0.20251021132045-587d123c2828",
    )],
    pinned: None,
    // Unstamped it calls itself a development version.
    stamps: &[("github.com/opentofu/opentofu/version.dev", "no")],
    programs: &[("github.com/opentofu/opentofu/cmd/tofu", "tofu")],
};

/// The kubernetes provider 3.2.1, for a network without the public Terraform registry. Its module
/// has no major version in its path, so that Go knows it after 1.13 by its commits alone: this is
/// the release with a dependency newer. The file's place makes the build's folder a filesystem
/// mirror of Terraform.
pub(super) static KUBERNETES_PROVIDER: Recipe = Recipe {
    name: "terraform-provider-kubernetes",
    module: "github.com/hashicorp/terraform-provider-kubernetes",
    version: "1.13.4-0.20260821094251-3a33fb6cc605",
    replaces: &[],
    pinned: None,
    stamps: &[],
    programs: &[(
        "github.com/hashicorp/terraform-provider-kubernetes",
        super::mirror::KUBERNETES_FILE,
    )],
};
