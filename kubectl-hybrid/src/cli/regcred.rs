//! The command line of `regcred`.

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use ecr_hybrid::host::Registry;

/// The commands of `regcred`.
#[derive(Debug, Subcommand)]
pub enum Regcred {
    /// Write the pull secret where it is missing, wrong or past half its life
    Sync(RegcredSync),
    /// Keep the pull secret fresh until interrupted
    Watch(Keeping),
    /// Keep the pull secret fresh in the background of this machine
    #[command(subcommand)]
    Agent(Agent),
    /// Show pull secrets, how long their tokens live, and who uses them
    Status(RegcredStatus),
}

/// Flags of `regcred sync`.
#[derive(Debug, Clone, Args)]
pub struct RegcredSync {
    /// What is kept where.
    #[command(flatten)]
    pub keeping: Keeping,
    /// Write a new token even when the old one looks alive
    #[arg(long, env = "HYBRID_REGCRED_FORCE", value_parser = BoolishValueParser::new())]
    pub force: bool,
    /// Show the plan and change nothing
    #[arg(long, env = "HYBRID_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
}

/// The commands of `regcred agent`.
#[derive(Debug, Subcommand)]
pub enum Agent {
    /// Start `regcred watch` with these flags now and at each login
    Install(Keeping),
    /// Show whether it runs
    Status,
    /// Stop it and take it away
    Remove,
}

/// Flags of `regcred status`.
#[derive(Debug, Clone, Args)]
pub struct RegcredStatus {
    /// Where to look.
    #[command(flatten)]
    pub places: Places,
    /// Pull secret, instead of the contract's
    #[arg(long, env = "HYBRID_REGCRED_SECRET", value_name = "NAME")]
    pub secret: Option<String>,
}

/// Which namespaces.
#[derive(Debug, Clone, Default, Args)]
pub struct Places {
    /// Namespaces, by name or glob; default: those of the contract
    #[arg(value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// Namespaces with these labels
    #[arg(
        short = 'l',
        long,
        env = "HYBRID_REGCRED_SELECTOR",
        value_name = "LABELS"
    )]
    pub selector: Option<String>,
    /// All namespaces
    #[arg(
        short = 'A',
        long,
        visible_alias = "all-namespaces",
        env = "HYBRID_REGCRED_ALL",
        value_parser = BoolishValueParser::new()
    )]
    pub all: bool,
    /// Namespaces to leave out, by name or glob (can be repeated)
    #[arg(
        long,
        env = "HYBRID_REGCRED_EXCLUDE",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    pub exclude: Vec<String>,
}

/// What is kept, and where.
#[derive(Debug, Clone, Default, Args)]
pub struct Keeping {
    /// Where.
    #[command(flatten)]
    pub places: Places,
    /// Another ECR registry whose login is wanted as well (can be repeated)
    #[arg(
        long = "registry",
        env = "HYBRID_REGCRED_REGISTRY",
        value_name = "HOST",
        value_delimiter = ',',
        value_parser = registry
    )]
    pub registries: Vec<Registry>,
    /// Service account that shall use the pull secret (can be repeated)
    #[arg(
        long = "service-account",
        env = "HYBRID_REGCRED_SERVICE_ACCOUNT",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub service_accounts: Vec<String>,
    /// Pull secret, instead of the contract's
    #[arg(long, env = "HYBRID_REGCRED_SECRET", value_name = "NAME")]
    pub secret: Option<String>,
    /// Leave pods alone that wait for credentials
    #[arg(long, env = "HYBRID_REGCRED_NO_UNSTICK", value_parser = BoolishValueParser::new())]
    pub no_unstick: bool,
}

impl Keeping {
    /// The flags that mean the same, for a command line.
    pub fn to_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |flag: &str, value: &str| arguments.push(format!("--{flag}={value}"));
        for registry in &self.registries {
            add("registry", registry.host());
        }
        for account in &self.service_accounts {
            add("service-account", account);
        }
        for pattern in &self.places.exclude {
            add("exclude", pattern);
        }
        if let Some(secret) = &self.secret {
            add("secret", secret);
        }
        if let Some(selector) = &self.places.selector {
            add("selector", selector);
        }
        if self.places.all {
            arguments.push("--all".to_owned());
        }
        if self.no_unstick {
            arguments.push("--no-unstick".to_owned());
        }
        arguments.extend(self.places.namespaces.iter().cloned());
        arguments
    }
}

fn registry(host: &str) -> Result<Registry, String> {
    Registry::parse(host).ok_or_else(|| {
        "it is no ECR host name such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command, Regcred};

    fn watch(arguments: &[String]) -> Vec<String> {
        let line = ["kubectl hybrid", "regcred", "watch"]
            .into_iter()
            .map(str::to_owned)
            .chain(arguments.iter().cloned());
        match Cli::try_parse_from(line).unwrap().command {
            Command::Regcred(Regcred::Watch(keeping)) => keeping.to_arguments(),
            _ => unreachable!("it is `regcred watch`"),
        }
    }

    #[test]
    fn the_flags_of_a_watch_can_be_said_again() {
        let flags = [
            "--registry=123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "--service-account=default",
            "--service-account=builder",
            "--exclude=kube-*",
            "--secret=ecr",
            "--selector=team=a",
            "--all",
            "--no-unstick",
            "shop",
            "team-*",
        ]
        .map(str::to_owned);
        assert_eq!(watch(&flags), flags);
        assert!(watch(&[]).is_empty());
    }

    #[test]
    fn a_registry_that_is_not_of_ecr_is_refused() {
        let line = ["kubectl hybrid", "regcred", "sync", "--registry=docker.io"];
        let error = Cli::try_parse_from(line).unwrap_err().to_string();
        assert!(error.contains("no ECR host name"), "{error}");
    }
}
