//! Who keeps a Secret: nobody, we, Terraform, or a tool that would write over us.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use serde::Serialize;

use super::LABEL_MANAGED_BY;
use crate::cluster::FIELD_MANAGER;

/// Who keeps a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// We made it.
    Ours,
    /// Nobody claims it: made by hand or by a script.
    Nobody,
    /// Terraform or `OpenTofu` made the shell; its data is left to us.
    Terraform,
    /// A tool that keeps its content and would undo ours.
    Other {
        /// The tool, for example `Helm`.
        tool: String,
        /// The object or label that shows it.
        evidence: String,
    },
}

impl Owner {
    /// Reads owner references, labels and annotations.
    pub fn of(secret: &Secret) -> Self {
        let empty = BTreeMap::new();
        let labels = secret.metadata.labels.as_ref().unwrap_or(&empty);
        let annotations = secret.metadata.annotations.as_ref().unwrap_or(&empty);

        if let Some(reference) = secret.metadata.owner_references.iter().flatten().next() {
            return Self::Other {
                tool: reference.kind.clone(),
                evidence: format!("owned by {} `{}`", reference.kind, reference.name),
            };
        }
        for (key, tool) in KEEPERS {
            let found = labels
                .get_key_value(*key)
                .or_else(|| annotations.get_key_value(*key));
            if let Some((key, value)) = found {
                return Self::Other {
                    tool: (*tool).to_owned(),
                    evidence: format!("{key}={value}"),
                };
            }
        }
        match labels.get(LABEL_MANAGED_BY).map(String::as_str) {
            Some(FIELD_MANAGER) => Self::Ours,
            Some(name) if is_terraform(name) => Self::Terraform,
            None | Some("") => Self::Nobody,
            Some(name) => Self::Other {
                tool: name.to_owned(),
                evidence: format!("{LABEL_MANAGED_BY}={name}"),
            },
        }
    }

    /// Whether our writing would start a fight.
    pub fn contests(&self) -> bool {
        matches!(self, Self::Other { .. })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str(FIELD_MANAGER),
            Self::Nobody => f.write_str("nobody"),
            Self::Terraform => f.write_str("Terraform"),
            Self::Other { tool, .. } => f.write_str(tool),
        }
    }
}

fn is_terraform(name: &str) -> bool {
    ["terraform", "opentofu", "tofu"]
        .iter()
        .any(|tool| name.eq_ignore_ascii_case(tool))
}

/// Labels and annotations by which tools mark what they keep.
const KEEPERS: &[(&str, &str)] = &[
    ("meta.helm.sh/release-name", "Helm"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
    (
        "reconcile.external-secrets.io/created-by",
        "External Secrets",
    ),
    ("reconcile.external-secrets.io/managed", "External Secrets"),
    ("reflector.v1.k8s.emberstack.com/reflects", "Reflector"),
    ("reflector.v1.k8s.emberstack.com/auto-reflects", "Reflector"),
    ("kubed.appscode.com/origin", "config-syncer"),
    ("sealedsecrets.bitnami.com/managed", "Sealed Secrets"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(meta: serde_json::Value) -> Secret {
        serde_json::from_value(serde_json::json!({ "metadata": meta })).unwrap()
    }

    #[test]
    fn the_owner_is_read_from_the_marks_of_each_tool() {
        use serde_json::json;
        let label = |key: &str, value: &str| json!({ "labels": { key: value } });
        let table = [
            (json!({}), "nobody"),
            (label(LABEL_MANAGED_BY, "kubectl-hybrid"), "kubectl-hybrid"),
            (label(LABEL_MANAGED_BY, "Terraform"), "Terraform"),
            (label(LABEL_MANAGED_BY, "opentofu"), "Terraform"),
            (label(LABEL_MANAGED_BY, "Helm"), "Helm"),
            (
                json!({ "annotations": { "meta.helm.sh/release-name": "shop" } }),
                "Helm",
            ),
            (label("argocd.argoproj.io/instance", "shop"), "Argo CD"),
            (label("kustomize.toolkit.fluxcd.io/name", "shop"), "Flux"),
            (
                json!({ "ownerReferences": [{
                    "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
                    "name": "regcred", "uid": "1" }] }),
                "ExternalSecret",
            ),
            // A tool's mark counts more than our label: somebody copied the labels.
            (
                json!({ "labels": { LABEL_MANAGED_BY: "kubectl-hybrid" },
                        "annotations": { "reflector.v1.k8s.emberstack.com/reflects": "a/b" } }),
                "Reflector",
            ),
        ];
        for (meta, expected) in table {
            assert_eq!(
                Owner::of(&secret(meta.clone())).to_string(),
                expected,
                "{meta}"
            );
        }
    }

    #[test]
    fn terraform_and_nobody_leave_the_data_to_us() {
        assert!(!Owner::Terraform.contests() && !Owner::Nobody.contests());
        assert!(
            Owner::Other {
                tool: "Helm".into(),
                evidence: String::new()
            }
            .contests()
        );
    }
}
