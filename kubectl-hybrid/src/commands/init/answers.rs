//! What a new project is called and what it consists of, checked before anything is written.
//!
//! The rules are those of the configuration's own variables: AWS and Kubernetes refuse other names.

use std::path::{Path, PathBuf};

use crate::terraform::keys::Workspace;

/// The first port on the node that is given to a service that names none.
const FIRST_NODE_PORT: u16 = 30300;
/// The range that Kubernetes has for ports on the node.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// All that the files are written from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) project: String,
    pub(super) environment: String,
    pub(super) workspace: Workspace,
    /// `None` where the files that need it are written already.
    pub(super) region: Option<String>,
    /// The kubeconfig context; `None` where the file that needs it is written already.
    pub(super) context: Option<String>,
    pub(super) services: Vec<Service>,
}

/// A service of a new project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) port: Option<u16>,
    pub(super) node_port: Option<u16>,
    /// The folder with its Dockerfile, relative to the project's.
    pub(super) context: Option<PathBuf>,
}

/// Why a project cannot be set up like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error(
        "`{0}` cannot be a project: ECR and Kubernetes want 1 to 30 lower-case letters, digits and \
         single hyphens, with a letter first"
    )]
    Project(String),
    #[error(
        "`{0}` cannot be an environment: it has 1 to 20 lower-case letters and digits, with a \
         letter first, and is not `default`"
    )]
    Environment(String),
    #[error(
        "workspace `{workspace}` does not belong to environment `{environment}`: it has that name, \
         or one that begins with `{environment}-`, in lower-case letters, digits and hyphens"
    )]
    Workspace {
        workspace: String,
        environment: String,
    },
    #[error("the namespace `{0}` would be longer than the 63 characters that Kubernetes takes")]
    Namespace(String),
    #[error("`{0}` is no AWS region")]
    Region(String),
    #[error("`{0}` is not written as NAME, NAME=PORT or NAME=PORT:NODE_PORT")]
    ServiceText(String),
    #[error(
        "`{0}` cannot be a service: ECR and Kubernetes want 1 to 40 lower-case letters, digits and \
         single hyphens, with a letter first"
    )]
    ServiceName(String),
    #[error("service `{0}` is named twice")]
    Twice(String),
    #[error("port {node_port} of service `{service}` is not from 30000 to 32767")]
    NodePort { service: String, node_port: u16 },
    #[error("services `{first}` and `{second}` cannot both have port {node_port} on the node")]
    SharedPort {
        first: String,
        second: String,
        node_port: u16,
    },
}

impl Answers {
    /// Checks all names, and gives each service with a port one on the node.
    pub(super) fn checked(mut self) -> Result<Self, AnswerError> {
        if !is_name(&self.project, 30) {
            return Err(AnswerError::Project(self.project));
        }
        let environment = &self.environment;
        if !is_name(environment, 20) || environment.contains('-') || environment == "default" {
            return Err(AnswerError::Environment(self.environment));
        }
        let workspace = self.workspace.as_str();
        let belongs = workspace == environment
            || workspace
                .strip_prefix(environment.as_str())
                .is_some_and(|rest| rest.starts_with('-'));
        if !belongs || !is_label(workspace) {
            return Err(AnswerError::Workspace {
                workspace: workspace.to_owned(),
                environment: self.environment,
            });
        }
        let namespace = format!("{}-{workspace}", self.project);
        if namespace.len() > 63 {
            return Err(AnswerError::Namespace(namespace));
        }
        if let Some(region) = &self.region
            && (!is_label(region) || region.matches('-').count() < 2)
        {
            return Err(AnswerError::Region(region.clone()));
        }
        for (at, service) in self.services.iter().enumerate() {
            service.check(&self.services[..at])?;
        }
        let mut next = FIRST_NODE_PORT;
        for at in 0..self.services.len() {
            if self.services[at].port.is_none() || self.services[at].node_port.is_some() {
                continue;
            }
            while self.services.iter().any(|it| it.node_port == Some(next)) {
                next += 1;
            }
            self.services[at].node_port = Some(next);
        }
        Ok(self)
    }
}

impl Service {
    /// `NAME`, `NAME=PORT` or `NAME=PORT:NODE_PORT`.
    pub(super) fn parse(text: &str) -> Result<Self, AnswerError> {
        let wrong = || AnswerError::ServiceText(text.to_owned());
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(wrong()),
        };
        let (name, ports) = match text.split_once('=') {
            Some((name, ports)) => (name, Some(ports)),
            None => (text, None),
        };
        let (of_service, of_node) =
            match ports.map(|ports| ports.split_once(':').unwrap_or((ports, ""))) {
                None => (None, None),
                Some((of_service, "")) => (Some(port(of_service)?), None),
                Some((of_service, of_node)) => (Some(port(of_service)?), Some(port(of_node)?)),
            };
        Ok(Self {
            name: name.to_owned(),
            port: of_service,
            node_port: of_node,
            context: None,
        })
    }

    fn check(&self, before: &[Self]) -> Result<(), AnswerError> {
        if !is_name(&self.name, 40) {
            return Err(AnswerError::ServiceName(self.name.clone()));
        }
        if before.iter().any(|other| other.name == self.name) {
            return Err(AnswerError::Twice(self.name.clone()));
        }
        let Some(node_port) = self.node_port else {
            return Ok(());
        };
        if !NODE_PORTS.contains(&node_port) {
            return Err(AnswerError::NodePort {
                service: self.name.clone(),
                node_port,
            });
        }
        match before.iter().find(|it| it.node_port == Some(node_port)) {
            Some(other) => Err(AnswerError::SharedPort {
                first: other.name.clone(),
                second: self.name.clone(),
                node_port,
            }),
            None => Ok(()),
        }
    }
}

/// The services whose sources are in `dir`: its folders with a Dockerfile, with the port that each
/// exposes.
pub(super) fn found_in(dir: &Path) -> Vec<Service> {
    let Ok(entries) = dir.read_dir() else {
        return Vec::new();
    };
    let mut found: Vec<Service> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let dockerfile = std::fs::read_to_string(entry.path().join("Dockerfile")).ok()?;
            Some(Service {
                port: exposed(&dockerfile),
                node_port: None,
                context: Some(PathBuf::from(&name)),
                name,
            })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The first port of the last `EXPOSE`; one that is a variable is not known.
fn exposed(dockerfile: &str) -> Option<u16> {
    dockerfile
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            words
                .next()
                .filter(|word| word.eq_ignore_ascii_case("expose"))?;
            words.next()?.split('/').next()?.parse().ok()
        })
        .next_back()
        .filter(|port| *port > 0)
}

/// The nearest project name to a folder's.
pub(super) fn project_of(folder: &str) -> String {
    let mut name = String::new();
    for c in folder.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    name.chars()
        .take(30)
        .collect::<String>()
        .trim_end_matches('-')
        .to_owned()
}

/// Lower-case letters, digits and single hyphens inside, with a letter first.
fn is_name(name: &str, most: usize) -> bool {
    is_label(name)
        && name.len() <= most
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.contains("--")
}

fn is_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn answers() -> Answers {
        Answers {
            project: "shop".to_owned(),
            environment: "dev".to_owned(),
            workspace: Workspace::new("dev").unwrap(),
            region: Some("eu-central-1".to_owned()),
            context: Some("kind-dev".to_owned()),
            services: vec![
                Service::parse("web=3000").unwrap(),
                Service::parse("api=3000:30300").unwrap(),
                Service::parse("worker").unwrap(),
            ],
        }
    }

    #[test]
    fn services_with_a_port_get_one_on_the_node_that_is_free() {
        let ports: Vec<_> = answers()
            .checked()
            .unwrap()
            .services
            .iter()
            .map(|service| service.node_port)
            .collect();
        assert_eq!(ports, [Some(30301), Some(30300), None]);
    }

    #[test]
    fn names_that_aws_or_kubernetes_refuse_are_one_sentence() {
        type Change = fn(&mut Answers);
        let cases: [(Change, &str); 13] = [
            (
                |it| it.project = "Shop".into(),
                "`Shop` cannot be a project",
            ),
            (|it| it.project = "a".repeat(31), "cannot be a project"),
            (
                |it| it.project = "a--b".into(),
                "`a--b` cannot be a project",
            ),
            (
                |it| it.environment = "default".into(),
                "`default` cannot be an environment",
            ),
            (
                |it| it.environment = "dev-eu".into(),
                "`dev-eu` cannot be an environment",
            ),
            (
                |it| it.workspace = Workspace::new("prod").unwrap(),
                "workspace `prod` does not belong to environment `dev`",
            ),
            (
                |it| it.workspace = Workspace::new("dev-Laptop").unwrap(),
                "workspace `dev-Laptop` does not belong",
            ),
            (
                |it| it.workspace = Workspace::new(format!("dev-{}", "x".repeat(59))).unwrap(),
                "would be longer than the 63 characters",
            ),
            (
                |it| it.region = Some("Frankfurt".into()),
                "`Frankfurt` is no AWS region",
            ),
            (
                |it| it.services[0].name = "Web".into(),
                "`Web` cannot be a service",
            ),
            (
                |it| it.services[0].name = "api".into(),
                "service `api` is named twice",
            ),
            (
                |it| it.services[0].node_port = Some(30300),
                "services `web` and `api` cannot both have port 30300 on the node",
            ),
            (
                |it| it.services[0].node_port = Some(80),
                "port 80 of service `web` is not from 30000 to 32767",
            ),
        ];
        for (change, expected) in cases {
            let mut wrong = answers();
            change(&mut wrong);
            let sentence = wrong.checked().unwrap_err().to_string();
            assert!(sentence.contains(expected), "{sentence}");
            assert!(!sentence.contains('\n'));
        }
    }

    #[test]
    fn a_service_is_a_name_with_or_without_ports() {
        let service = |text| Service::parse(text).map(|it| (it.name, it.port, it.node_port));
        assert_eq!(service("web"), Ok(("web".to_owned(), None, None)));
        assert_eq!(
            service("web=3000:30300"),
            Ok(("web".to_owned(), Some(3000), Some(30300)))
        );
        for wrong in [
            "web=",
            "web=x",
            "web=0",
            "web=70000",
            "web=1:x",
            "web=:30300",
        ] {
            assert_eq!(
                service(wrong),
                Err(AnswerError::ServiceText(wrong.to_owned())),
                "{wrong}"
            );
        }
    }

    #[test]
    fn folders_with_a_dockerfile_are_services() {
        let dir = tempfile::tempdir().unwrap();
        for (name, dockerfile) in [
            ("web", "FROM scratch\nEXPOSE 80\nexpose 3000/tcp 9090\n"),
            ("api", "FROM scratch\nEXPOSE $PORT\n"),
        ] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("Dockerfile"), dockerfile).unwrap();
        }
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        let found: Vec<_> = found_in(dir.path())
            .into_iter()
            .map(|service| (service.name, service.port))
            .collect();
        assert_eq!(
            found,
            [("api".to_owned(), None), ("web".to_owned(), Some(3000))]
        );
    }

    #[test]
    fn a_project_is_named_after_its_folder_as_far_as_that_goes() {
        for (folder, expected) in [
            ("shop", "shop"),
            ("My Shop_2", "my-shop-2"),
            ("2024-shop", "shop"),
            ("ünïcode", "n-code"),
            ("a--b", "a-b"),
            ("...", ""),
        ] {
            assert_eq!(project_of(folder), expected, "{folder}");
        }
    }
}
