//! Names that lead somewhere else inside.

use std::fmt::Write;

use crate::sandbox::endpoints::{NODE, NODE_ADDRESS, REGISTRY_ADDRESS, registry_hosts};

/// The host's own file with the ECR hosts and the node added; lines of the host's for the same
/// names are left out, since the first one wins.
pub fn hosts_file(of_the_host: &str) -> String {
    let ours: Vec<String> = registry_hosts()
        .into_iter()
        .chain([NODE.to_owned()])
        .collect();
    let mut text: String = of_the_host
        .lines()
        .filter(|line| {
            let names = line.split('#').next().unwrap_or_default();
            !names
                .split_whitespace()
                .skip(1)
                .any(|name| ours.iter().any(|our| our == name))
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{NODE_ADDRESS} {NODE}");
    let _ = writeln!(
        text,
        "{} {}",
        REGISTRY_ADDRESS.ip(),
        registry_hosts().join(" ")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_names_stay_and_ours_win() {
        let host = "127.0.0.1 localhost # me\n10.0.0.1 hybrid-node old\n";
        let text = hosts_file(host);
        assert!(text.starts_with("127.0.0.1 localhost # me\n"));
        assert!(!text.contains("10.0.0.1"));
        assert!(text.contains("10.243.0.1 hybrid-node\n"));
        assert!(text.contains("127.0.0.9 123456789012.dkr.ecr.eu-central-1.amazonaws.com "));
    }
}
