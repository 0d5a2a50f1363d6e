//! What holds in a workspace: its own tables over those for all.

use super::file::{
    BuildConfig, ClusterConfig, ConfigFile, DeployConfig, HooksConfig, ServiceConfig,
};

impl ConfigFile {
    /// `[services.NAME]` with what `[workspaces.WORKSPACE.services.NAME]` changes, and with what
    /// `[build]` says for all services.
    pub fn service(&self, workspace: &str, name: &str) -> ServiceConfig {
        let build = self.build(workspace);
        let common = ServiceConfig {
            platform: build.platform,
            args: build.args,
            ..ServiceConfig::default()
        };
        let over = self.workspaces.get(workspace);
        let layers = [
            over.and_then(|table| table.services.get(name)),
            self.services.get(name),
            Some(&common),
        ];
        layers
            .into_iter()
            .flatten()
            .fold(ServiceConfig::default(), ServiceConfig::over)
    }

    /// `[cluster]` in this workspace.
    pub fn cluster(&self, workspace: &str) -> ClusterConfig {
        let over = self.workspaces.get(workspace).map(|table| &table.cluster);
        let pick = |of: fn(&ClusterConfig) -> &Option<String>| {
            over.and_then(|table| of(table).clone())
                .or_else(|| of(&self.cluster).clone())
        };
        ClusterConfig {
            context: pick(|table| &table.context),
            namespace: pick(|table| &table.namespace),
            emulates: over
                .and_then(|table| table.emulates.clone())
                .or_else(|| self.cluster.emulates.clone()),
        }
    }

    /// `[build]` in this workspace.
    pub fn build(&self, workspace: &str) -> BuildConfig {
        let over = self.workspaces.get(workspace).map(|table| &table.build);
        let mut args = self.build.args.clone();
        args.extend(over.into_iter().flat_map(|table| table.args.clone()));
        BuildConfig {
            jobs: over.and_then(|table| table.jobs).or(self.build.jobs),
            platform: over
                .and_then(|table| table.platform.clone())
                .or_else(|| self.build.platform.clone()),
            args,
        }
    }

    /// `[deploy]` in this workspace.
    pub fn deploy(&self, workspace: &str) -> DeployConfig {
        let over = self.workspaces.get(workspace).map(|table| &table.deploy);
        DeployConfig {
            strategy: over
                .and_then(|table| table.strategy)
                .or(self.deploy.strategy),
            timeout: over.and_then(|table| table.timeout).or(self.deploy.timeout),
        }
    }

    /// `[hooks]` in this workspace.
    pub fn hooks(&self, workspace: &str) -> HooksConfig {
        let over = self.workspaces.get(workspace).map(|table| &table.hooks);
        let pick = |of: fn(&HooksConfig) -> &Option<Vec<String>>| {
            over.and_then(|table| of(table).clone())
                .or_else(|| of(&self.hooks).clone())
        };
        HooksConfig {
            before_build: pick(|table| &table.before_build),
            after_build: pick(|table| &table.after_build),
            before_deploy: pick(|table| &table.before_deploy),
            after_deploy: pick(|table| &table.after_deploy),
        }
    }
}

impl ServiceConfig {
    /// What this table says, and where it says nothing what `below` says.
    fn over(self, below: &Self) -> Self {
        let mut args = below.args.clone();
        args.extend(self.args);
        Self {
            context: self.context.or_else(|| below.context.clone()),
            dockerfile: self.dockerfile.or_else(|| below.dockerfile.clone()),
            target: self.target.or_else(|| below.target.clone()),
            platform: self.platform.or_else(|| below.platform.clone()),
            args,
            secrets: self.secrets.or_else(|| below.secrets.clone()),
            ssh: self.ssh.or_else(|| below.ssh.clone()),
            cache_from: self.cache_from.or_else(|| below.cache_from.clone()),
            cache_to: self.cache_to.or_else(|| below.cache_to.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse::parse;

    #[test]
    fn a_workspace_changes_what_it_names_and_nothing_else() {
        let file = parse(
            Path::new("hybrid.toml"),
            r#"
[cluster]
context = "kind"
[build]
jobs = 2
platform = "linux/arm64"
args = { LEVEL = "info", EDITION = "all" }
[deploy]
timeout = "5m"
[hooks]
before_build = ["make all"]
[services.web]
target = "release"
secrets = ["id=npm,src=.npmrc"]
args = { EDITION = "web" }
[workspaces.dev.cluster]
namespace = "mine"
[workspaces.dev.build]
args = { LEVEL = "debug" }
[workspaces.dev.deploy]
timeout = "1m"
[workspaces.dev.hooks]
before_build = ["make dev"]
[workspaces.dev.services.web]
target = "debug"
secrets = []
[workspaces.quiet.hooks]
before_build = []
"#,
        )
        .unwrap();
        let web = file.service("dev", "web");
        assert_eq!(web.target.as_deref(), Some("debug"));
        assert_eq!(web.platform.as_deref(), Some("linux/arm64"));
        assert_eq!(web.secrets.as_deref(), Some(&[][..]));
        assert_eq!(
            (web.args["LEVEL"].as_str(), web.args["EDITION"].as_str()),
            ("debug", "web")
        );
        let other = file.service("prod", "web");
        assert_eq!(other.target.as_deref(), Some("release"));
        assert_eq!(other.args["LEVEL"], "info");
        let cluster = file.cluster("dev");
        assert_eq!(cluster.context.as_deref(), Some("kind"));
        assert_eq!(cluster.namespace.as_deref(), Some("mine"));
        assert_eq!(file.deploy("dev").timeout.unwrap().to_string(), "1m");
        assert_eq!(file.deploy("prod").timeout.unwrap().to_string(), "5m");
        let before_build = |workspace| file.hooks(workspace).before_build.unwrap();
        assert_eq!(before_build("dev"), ["make dev"]);
        assert_eq!(before_build("prod"), ["make all"]);
        assert!(before_build("quiet").is_empty());
        assert_eq!(file.build("dev").jobs.unwrap().get(), 2);
    }
}
