//! What the agent runs.

use std::path::PathBuf;

/// What the agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The name by which the system knows it. Letters, digits and hyphens.
    pub name: String,
    /// What it is for, in a line.
    pub description: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// What it gets of the environment.
    pub environment: Vec<(String, String)>,
    /// Where it writes, where the system has no log of its own.
    pub log: PathBuf,
    /// Whose agent it is, as Windows names accounts. Elsewhere the manager knows.
    pub account: Option<String>,
}

impl Definition {
    /// The name of the agent for a project's workspace.
    pub fn name_of(project: &str, workspace: &str) -> String {
        let plain = |text: &str| -> String {
            text.chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect()
        };
        format!("kubectl-hybrid-{}-{}", plain(project), plain(workspace))
    }
}

/// Whether a variable of the environment is given to the agent: it says where something is, and is
/// no key itself.
pub fn carried(name: &str) -> bool {
    const NAMES: [&str; 32] = [
        "ALL_PROXY",
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "HYBRID_CACHE_DIR",
        "HYBRID_HELPER_SETTINGS",
        "HYBRID_STORE",
        "HYBRID_TERRAFORM_BINARY",
        "HYBRID_TERRAFORM_DIR",
        "HYBRID_TERRAFORM_SOURCE",
        "KUBECONFIG",
        "NO_PROXY",
        "PATH",
        "SSL_CERT_FILE",
        "TF_DATA_DIR",
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    NAMES.contains(&name) || name.starts_with("AWS_ENDPOINT_URL")
}

/// Whether a variable is a key of AWS. The agent does not get it: it would lie in a file.
pub fn is_key(name: &str) -> bool {
    matches!(
        name,
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_carried() {
        for key in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        ] {
            assert!(!carried(key), "{key}");
        }
        assert!(carried("AWS_PROFILE") && carried("AWS_ENDPOINT_URL_ECR"));
    }

    #[test]
    fn the_name_has_no_characters_that_mean_something() {
        assert_eq!(
            Definition::name_of("my shop/../x", "dev"),
            "kubectl-hybrid-my-shop----x-dev"
        );
    }
}
