//! Every check with its id and its text.

use super::finding::CheckId;

/// A check, explained.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its id.
    pub id: CheckId,
    /// Its area in words.
    pub category: &'static str,
    /// What it is about, a few words.
    pub title: &'static str,
    /// What it looks at, and what goes wrong when it fails.
    pub what: &'static str,
    /// What to do when it fails.
    pub remedy: &'static str,
}

pub(super) const DK001: CheckId = CheckId("HYB-DK001");
pub(super) const AW001: CheckId = CheckId("HYB-AW001");
pub(super) const AW002: CheckId = CheckId("HYB-AW002");
pub(super) const TF003: CheckId = CheckId("HYB-TF003");
pub(super) const TF010: CheckId = CheckId("HYB-TF010");
pub(super) const KU001: CheckId = CheckId("HYB-KU001");
pub(super) const KU002: CheckId = CheckId("HYB-KU002");
pub(super) const KU003: CheckId = CheckId("HYB-KU003");
pub(super) const PS001: CheckId = CheckId("HYB-PS001");
pub(super) const PS002: CheckId = CheckId("HYB-PS002");
pub(super) const PS003: CheckId = CheckId("HYB-PS003");
pub(super) const PS004: CheckId = CheckId("HYB-PS004");
pub(super) const PS005: CheckId = CheckId("HYB-PS005");
pub(super) const PS006: CheckId = CheckId("HYB-PS006");
pub(super) const PD001: CheckId = CheckId("HYB-PD001");
pub(super) const PD002: CheckId = CheckId("HYB-PD002");
pub(super) const PD003: CheckId = CheckId("HYB-PD003");
pub(super) const PD004: CheckId = CheckId("HYB-PD004");
pub(super) const PD005: CheckId = CheckId("HYB-PD005");
pub(super) const PD008: CheckId = CheckId("HYB-PD008");

/// All checks, in the order in which `doctor` shows them.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        id: DK001,
        category: "Docker",
        title: "Docker engine",
        what: "The Docker engine of the current context answers. Without it nothing can be built or \
               pushed.",
        remedy: "Start Docker Desktop, colima or the `docker` service, or choose another engine with \
                 `docker context use`.",
    },
    Entry {
        id: AW001,
        category: "AWS",
        title: "AWS identity",
        what: "AWS credentials resolve, and AWS accepts them. They are needed to read the Terraform \
               state, to push images, and to make the token of the pull secret.",
        remedy: "Log in again with `aws sso login --profile NAME`, or set `AWS_PROFILE`.",
    },
    Entry {
        id: AW002,
        category: "AWS",
        title: "AWS account",
        what: "The account of the identity is the account of the registry. Another account works only \
               when the repository's policy lets it in.",
        remedy: "Choose the profile of the registry's account with `AWS_PROFILE`, or allow the other \
                 account in the repository policy.",
    },
    Entry {
        id: TF003,
        category: "Terraform",
        title: "Terraform contract",
        what: "The output `hybrid` of the workspace can be read, and its schema is one that this tool \
               knows. It says where the registry, the services and the cluster are.",
        remedy: "Apply the configuration with `terraform apply`, and look at the workspace's name with \
                 `kubectl hybrid workspace list`.",
    },
    Entry {
        id: TF010,
        category: "Terraform",
        title: "Terraform state lock",
        what: "Nobody holds the lock on the Terraform state. A lock that is left by a killed run stops \
               every later `terraform apply`. It does not stop a deploy.",
        remedy: "Ask the holder whether the run is alive. If it is not, release the lock with \
                 `kubectl hybrid unlock ID`.",
    },
    Entry {
        id: KU001,
        category: "Cluster",
        title: "API server",
        what: "The kubeconfig has the context, and its API server answers and accepts the credentials.",
        remedy: "Start the local cluster, or choose another context with `--context`.",
    },
    Entry {
        id: KU002,
        category: "Cluster",
        title: "local context",
        what: "The API server is on this machine, or the workspace lists the context. The server's \
               address decides; a name alone makes no cluster local.",
        remedy: "Choose a local context, or list this one in hybrid.toml under `[workspaces.NAME]` as \
                 `contexts`.",
    },
    Entry {
        id: KU003,
        category: "Cluster",
        title: "namespace",
        what: "The namespace of the workspace exists and is not being deleted.",
        remedy: "Make it with `terraform apply`.",
    },
    Entry {
        id: PS001,
        category: "Pull secret",
        title: "pull secret",
        what: "The pull secret exists, has the type `kubernetes.io/dockerconfigjson`, and can be read. \
               The kubelet passes over secrets of other types without a word.",
        remedy: "Make or repair it with `kubectl hybrid regcred sync`. A secret of the wrong type has \
                 to be deleted first, because a type cannot be changed.",
    },
    Entry {
        id: PS002,
        category: "Pull secret",
        title: "pull secret's registry",
        what: "The pull secret has a login that the kubelet uses for the workspace's registry. The \
               kubelet compares account, region, port and letter case.",
        remedy: "Add the login with `kubectl hybrid regcred sync`; entries of other registries are kept.",
    },
    Entry {
        id: PS003,
        category: "Pull secret",
        title: "pull secret's expiry",
        what: "The login has not expired, and does not within the hour. A token of Amazon ECR lives \
               twelve hours. Running pods go on when it has expired; new ones cannot pull.",
        remedy: "Refresh it with `kubectl hybrid regcred sync`.",
    },
    Entry {
        id: PS004,
        category: "Pull secret",
        title: "pull secret's users",
        what: "The pod templates of the workloads, or their service account, name the pull secret. The \
               service account's list counts only for pods that have none of their own, and only when \
               they are made.",
        remedy: "Apply the Terraform module, which names it, and restart the workload.",
    },
    Entry {
        id: PS005,
        category: "Pull secret",
        title: "pull secret's other entries",
        what: "Every entry of the pull secret can be read. The kubelet gives up all entries of a pod \
               when one cannot be decoded.",
        remedy: "`kubectl hybrid regcred sync` drops entries that cannot be read, and says which.",
    },
    Entry {
        id: PS006,
        category: "Pull secret",
        title: "pull secret's owner",
        what: "No other tool keeps the pull secret's content. Two tools that write the same secret undo \
               each other's work.",
        remedy: "Let one of the two go: name another pull secret for the workspace, or take this one \
                 out of the other tool.",
    },
    Entry {
        id: PD001,
        category: "Workloads",
        title: "images",
        what: "No pod waits for an image that cannot be pulled. The cause is put together from the \
               kubelet's words, the pull secret and the service account.",
        remedy: "The finding names the cause and its fix.",
    },
    Entry {
        id: PD002,
        category: "Workloads",
        title: "crashes",
        what: "No container ends again and again, and none is killed for using too much memory.",
        remedy: "Read what it wrote last with `kubectl logs POD --previous`.",
    },
    Entry {
        id: PD003,
        category: "Workloads",
        title: "configuration",
        what: "Every secret and config map that the containers need is there, and every container can \
               be started.",
        remedy: "Make the missing object; the pods go on by themselves.",
    },
    Entry {
        id: PD004,
        category: "Workloads",
        title: "scheduling",
        what: "Every pod has a node.",
        remedy: "Give the cluster's machine more memory or CPU, or ask for less in the pod template.",
    },
    Entry {
        id: PD005,
        category: "Workloads",
        title: "pull policy",
        what: "No container runs a tag that moves with the policy `IfNotPresent`: a node that has the \
               tag keeps the old image, and a restart changes nothing.",
        remedy: "Deploy with `kubectl hybrid deploy`, which pins the digest.",
    },
    Entry {
        id: PD008,
        category: "Workloads",
        title: "workloads",
        what: "The workload of every service exists, and all its pods are ready.",
        remedy: "Make it with `terraform apply`, or look at its pods.",
    },
];

/// The check with this id, whatever its letter case; the `HYB-` may be left away.
pub fn find(id: &str) -> Option<&'static Entry> {
    let wanted = id.trim().to_ascii_uppercase();
    CATALOGUE.iter().find(|entry| {
        let id = entry.id.as_str();
        id == wanted || id.trim_start_matches("HYB-") == wanted
    })
}

/// The entry of a check. Every [`CheckId`] is made in this file, and a test holds them together.
pub(super) fn entry(id: CheckId) -> Entry {
    CATALOGUE
        .iter()
        .find(|entry| entry.id == id)
        .copied()
        .unwrap_or(Entry {
            id,
            category: "Other",
            title: "check",
            what: "",
            remedy: "",
        })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_id_is_well_formed_and_stands_once() {
        let mut seen = HashSet::new();
        for entry in CATALOGUE {
            let id = entry.id.as_str();
            let (area, number) = id.strip_prefix("HYB-").unwrap().split_at(2);
            assert!(
                ["DK", "AW", "TF", "KU", "PS", "PD", "EC", "TL"].contains(&area),
                "{id}"
            );
            assert!(
                number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()),
                "{id}"
            );
            assert!(seen.insert(id), "{id} stands twice");
        }
    }

    #[test]
    fn every_check_is_explained() {
        for entry in CATALOGUE {
            assert!(
                entry.what.ends_with('.') && entry.remedy.ends_with('.'),
                "{}",
                entry.id
            );
            assert!(
                !entry.title.is_empty() && !entry.category.is_empty(),
                "{}",
                entry.id
            );
        }
    }

    #[test]
    fn areas_stand_together() {
        let mut areas: Vec<&str> = CATALOGUE.iter().map(|entry| entry.id.area()).collect();
        areas.dedup();
        assert_eq!(areas.len(), areas.iter().collect::<HashSet<_>>().len());
    }

    #[test]
    fn a_check_is_found_by_any_spelling_of_its_id() {
        for spelling in ["HYB-PS003", "hyb-ps003", "ps003", " PS003 "] {
            assert_eq!(find(spelling).unwrap().id, PS003, "{spelling}");
        }
        assert!(find("HYB-XX999").is_none());
        assert!(find("").is_none());
    }
}
