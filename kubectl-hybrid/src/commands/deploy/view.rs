//! The plan as `--dry-run` and `-o json` show it: what is done, and what only doing it can tell.

use serde::Serialize;

use super::plan::ServicePlan;
use crate::cli::Deploy;
use crate::commands::hooks::{Moment, PlannedHook};
use crate::commands::regcred::SecretPlan;

/// The plan, for people and programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanView<'a> {
    pub(super) pull_secrets: &'a [SecretPlan],
    services: &'a [ServicePlan],
    /// The hooks that run or may run, in their order.
    pub(super) hooks: Vec<PlannedHook>,
    /// Whether nothing is unknown.
    complete: bool,
    /// What only the builds tell, in sentences.
    pub(super) unknown: Vec<String>,
}

impl<'a> PlanView<'a> {
    /// The view of what is done with the services. `commands` gives the hooks of a moment.
    pub(super) fn of(
        services: &'a [ServicePlan],
        flags: &Deploy,
        commands: impl Fn(Moment) -> Vec<String>,
    ) -> Self {
        let runs = |moment| match moment {
            Moment::BeforeBuild => Some(!flags.no_build),
            Moment::AfterBuild => Some(builds(services)),
            Moment::BeforeDeploy => Some(may_roll(services)),
            Moment::AfterDeploy => rolls(services),
        };
        let hooks: Vec<PlannedHook> = Moment::ALL
            .into_iter()
            .filter(|moment| runs(*moment) != Some(false))
            .flat_map(|moment| {
                let all = commands(moment).into_iter();
                all.map(move |command| PlannedHook::new(moment, command, runs(moment)))
            })
            .collect();
        let mut unknown = Vec::new();
        if flags.dry_run && hooks.iter().any(|hook| hook.is_of(Moment::BeforeBuild)) {
            unknown.push("what before_build makes of the sources: it did not run".to_owned());
        }
        unknown.extend(services.iter().filter_map(ServicePlan::unknown));
        Self {
            pull_secrets: &[],
            services,
            hooks,
            complete: unknown.is_empty(),
            unknown,
        }
    }
}

/// Whether anything is built.
pub(super) fn builds(services: &[ServicePlan]) -> bool {
    services.iter().any(|planned| planned.image.builds)
}

/// Whether anything rolls out, or may.
pub(super) fn may_roll(services: &[ServicePlan]) -> bool {
    rolls(services) != Some(false)
}

/// Whether anything rolls out, as far as that is known before the builds.
fn rolls(services: &[ServicePlan]) -> Option<bool> {
    let any = |rolls| services.iter().any(|planned| planned.rolls == rolls);
    match (any(Some(true)), any(None)) {
        (true, _) => Some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::commands::images::ImagePlan;
    use crate::registry::Tag;

    /// A service whose image the registry has, or not. `moves`: whether its tag does.
    fn service(has_image: bool, moves: bool, rolls: Option<bool>, waits: bool) -> ServicePlan {
        let digest = format!("sha256:{}", "1".repeat(64));
        ServicePlan {
            image: ImagePlan {
                name: "web".to_owned(),
                reference: "r.example/shop/web:src-1".parse().unwrap(),
                platform: None,
                builds: !has_image,
                pushes: !has_image,
                digest: has_image.then(|| digest.parse().unwrap()),
                moves_tag: moves.then(|| Tag::from_name("dev").unwrap()),
                made: None,
                found: None,
            },
            containers: vec!["web".to_owned()],
            running: None,
            rolls,
            waits,
            state: Deployment::default().into(),
        }
    }

    fn flags(line: &[&str]) -> Deploy {
        let line = [&["kubectl-hybrid", "deploy"], line].concat();
        match Cli::parse_from(line).command {
            Command::Deploy(flags) => flags,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_service_is_told_with_all_that_is_done_with_it() {
        let built = "web is built and pushed as shop/web:src-1";
        let there = "web is in the registry as shop/web:src-1";
        for (service, expected) in [
            (service(true, false, Some(false), false), "web is unchanged"),
            (
                service(true, false, Some(false), true),
                "web is unchanged, its roll-out is waited for",
            ),
            (
                service(true, true, Some(false), false),
                "web is unchanged, tag dev moves to it",
            ),
            (
                service(true, true, Some(true), true),
                &format!("{there}, tag dev moves to it, rolls out"),
            ),
            (
                service(false, true, None, true),
                &format!("{built}, tag dev moves to it, rolls out when its digest is a new one"),
            ),
            (
                service(false, false, Some(true), true),
                &format!("{built}, rolls out"),
            ),
        ] {
            assert_eq!(service.to_string(), expected);
        }
    }

    #[test]
    fn hooks_are_told_that_run_and_what_only_the_builds_tell_is_named() {
        let settled = || service(true, false, Some(false), false);
        let rolls = || service(true, false, Some(true), true);
        let built = || service(false, true, None, true);
        let hook = |moment: &str, runs: Value| json!([moment, runs]);
        let digest = "the digest of web, and whether it rolls out: known when it is built";
        let sources = "what before_build makes of the sources: it did not run";
        let table = [
            (vec![settled()], &["--no-build"][..], vec![], vec![]),
            (
                vec![settled(), rolls()],
                &["--no-build", "--dry-run"],
                vec![
                    hook("before_deploy", json!(true)),
                    hook("after_deploy", json!(true)),
                ],
                vec![],
            ),
            (
                vec![settled(), built()],
                &["--dry-run"],
                vec![
                    hook("before_build", json!(true)),
                    hook("after_build", json!(true)),
                    hook("before_deploy", json!(true)),
                    hook("after_deploy", Value::Null),
                ],
                vec![sources, digest],
            ),
            (
                vec![settled()],
                &[],
                vec![hook("before_build", json!(true))],
                vec![],
            ),
        ];
        for (services, line, hooks, unknown) in table {
            let view = PlanView::of(&services, &flags(line), |_| vec!["make it".to_owned()]);
            let shown = serde_json::to_value(&view).unwrap();
            let found: Vec<Value> = shown["hooks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|hook| {
                    assert_eq!(hook["command"], "make it");
                    json!([hook["moment"], hook["runs"]])
                })
                .collect();
            assert_eq!(found, hooks, "{line:?}");
            assert_eq!(shown["unknown"], json!(unknown), "{line:?}");
            assert_eq!(shown["complete"], unknown.is_empty(), "{line:?}");
        }
    }

    #[test]
    fn without_hooks_there_is_nothing_to_wonder_about() {
        let services = [service(true, false, Some(false), false)];
        let view = PlanView::of(&services, &flags(&["--dry-run"]), |_| Vec::new());
        assert!(view.complete && view.hooks.is_empty());
    }
}
