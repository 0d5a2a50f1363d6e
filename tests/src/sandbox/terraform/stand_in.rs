//! The configuration adapted to the last kubernetes provider that can be built without the public
//! registry. It knows the same resources without the suffix of their version, has no write-only
//! arguments, and writes two maps as blocks.

/// The versions that the project asks for, and those that are asked for instead.
const CONSTRAINT: (&str, &str) = ("\">= 3.2.1, < 4\"", "\">= 1.13.4, < 4\"");
/// Waiting for an address came after it.
const UNKNOWN_ARGUMENT: &str = "wait_for_load_balancer";
/// The file that holds the one resource it cannot take.
const SHELL: &str = "pull_secret";

/// Whether a file, by its name, is left out of the adapted copy.
pub(super) fn leaves_out(name: &str) -> bool {
    name.strip_prefix(SHELL)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// The adapted text of a configuration or test file.
pub(super) fn adapt(text: &str) -> String {
    let mut adapted = String::with_capacity(text.len());
    for line in text.lines() {
        let word = line.trim_start();
        if word.starts_with(UNKNOWN_ARGUMENT) {
            continue;
        }
        let line = without_suffixes(&line.replace(CONSTRAINT.0, CONSTRAINT.1));
        match word {
            "requests = {" | "limits = {" => adapted.push_str(&line.replacen(" = {", " {", 1)),
            _ => adapted.push_str(&line),
        }
        adapted.push('\n');
    }
    adapted
}

/// `kubernetes_deployment_v1` becomes `kubernetes_deployment`.
fn without_suffixes(line: &str) -> String {
    let mut rest = line;
    let mut out = String::with_capacity(line.len());
    while let Some(at) = rest.find("kubernetes_") {
        let end = rest[at..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(rest.len(), |length| at + length);
        out.push_str(&rest[..at]);
        let word = &rest[at..end];
        out.push_str(word.strip_suffix("_v1").unwrap_or(word));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_types_lose_their_version_and_nothing_else_does() {
        let cases = [
            (
                "resource \"kubernetes_service_account_v1\" \"this\" {",
                "resource \"kubernetes_service_account\" \"this\" {",
            ),
            (
                "a = kubernetes_service_v1.this[name].spec, kubernetes_namespace_v1.this",
                "a = kubernetes_service.this[name].spec, kubernetes_namespace.this",
            ),
            (
                "api_v1 = kubernetes_x_v1beta1",
                "api_v1 = kubernetes_x_v1beta1",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(without_suffixes(line), expected);
        }
    }

    #[test]
    fn maps_become_blocks_and_unknown_arguments_go() {
        let text = "  requests = {\n    cpu = \"1\"\n  }\n  wait_for_load_balancer = false\n";
        assert_eq!(adapt(text), "  requests {\n    cpu = \"1\"\n  }\n");
    }

    #[test]
    fn the_shell_of_the_pull_secret_and_its_test_are_left_out() {
        assert!(leaves_out("pull_secret.tf"));
        assert!(leaves_out("pull_secret.tftest.hcl"));
        assert!(!leaves_out("pull_secrets.tf"));
        assert!(!leaves_out("main.tf"));
    }

    #[test]
    fn the_project_is_still_written_as_the_adaptation_expects() {
        let module = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../terraform/modules/kubernetes/"
        );
        let read = |name: &str| std::fs::read_to_string(format!("{module}{name}")).unwrap();
        assert!(read("versions.tf").contains(CONSTRAINT.0));
        assert!(read("main.tf").contains(UNKNOWN_ARGUMENT));
        assert!(read("pull_secret.tf").contains("data_wo_revision = 1"));
        let adapted = adapt(&read("main.tf"));
        assert!(adapted.contains("limits {") && adapted.contains("requests {"));
        assert!(!adapted.contains("_v1\""));
    }
}
