//! The Terraform configuration that this tool comes with: bootstrap, the root and its modules.

include!(concat!(env!("OUT_DIR"), "/configuration.rs"));

/// The folder that makes the state bucket and the lock table. A configuration of somebody's own has
/// none.
pub const BOOTSTRAP: &str = "bootstrap";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_applied_is_there_and_nothing_of_this_machine() {
        let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        for name in [
            "main.tf",
            "outputs.tf",
            "variables.tf",
            "bootstrap/main.tf",
            "bootstrap/outputs.tf",
            "modules/registry/main.tf",
            "modules/kubernetes/pull_secret.tf",
        ] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        for name in names {
            let is_configuration = name.rsplit_once('.').is_some_and(|(_, end)| end == "tf");
            assert!(
                is_configuration && !name.contains(".terraform") && !name.contains('\\'),
                "{name}"
            );
        }
    }
}
