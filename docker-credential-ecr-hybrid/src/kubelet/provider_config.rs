//! The kubelet's side: a configuration file that names this program.

use std::fmt::Write as _;

use super::request::API_VERSION;
use crate::command::NAME;
use crate::configure::Server;

/// Every form of an ECR host as a pattern of the kubelet, in which `*` stands for one label.
const EVERY_HOST: [&str; 20] = [
    "*.dkr.ecr.*.amazonaws.com",
    "*.dkr.ecr-fips.*.amazonaws.com",
    "*.dkr-ecr.*.on.aws",
    "*.dkr-ecr-fips.*.on.aws",
    "*.dkr.ecr.*.amazonaws.com.cn",
    "*.dkr-ecr.*.on.amazonwebservices.com.cn",
    "*.dkr.ecr.*.amazonaws.eu",
    "*.dkr.ecr-fips.*.amazonaws.eu",
    "*.dkr-ecr.*.on.amazonwebservices.eu",
    "*.dkr-ecr-fips.*.on.amazonwebservices.eu",
    "*.dkr.ecr.*.c2s.ic.gov",
    "*.dkr.ecr-fips.*.c2s.ic.gov",
    "*.dkr.ecr.*.sc2s.sgov.gov",
    "*.dkr.ecr-fips.*.sc2s.sgov.gov",
    "*.dkr.ecr.*.cloud.adc-e.uk",
    "*.dkr.ecr-fips.*.cloud.adc-e.uk",
    "*.dkr.ecr.*.csp.hci.ic.gov",
    "*.dkr.ecr-fips.*.csp.hci.ic.gov",
    "public.ecr.aws",
    "ecr-public.aws.com",
];

/// A `CredentialProviderConfig` for these registries, or for every host of ECR when none is named.
pub fn provider_config(servers: &[Server]) -> String {
    let mut text = format!(
        "# For the kubelet: --image-credential-provider-config=THIS_FILE\n\
         # --image-credential-provider-bin-dir=FOLDER, in which the program is called {NAME}\n\
         apiVersion: kubelet.config.k8s.io/v1\n\
         kind: CredentialProviderConfig\n\
         providers:\n\
         - name: {NAME}\n\
         \x20 apiVersion: {API_VERSION}\n\
         \x20 args: [kubelet]\n\
         \x20 defaultCacheDuration: 0s\n\
         \x20 # The program runs as the kubelet does: name what it needs to find its AWS identity.\n\
         \x20 # env: [{{name: AWS_PROFILE, value: default}}, {{name: HOME, value: /root}}]\n\
         \x20 matchImages:\n"
    );
    let own: Vec<&str> = servers.iter().map(Server::as_str).collect();
    let patterns = if own.is_empty() {
        &EVERY_HOST[..]
    } else {
        &own
    };
    for pattern in patterns {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - \"{pattern}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Registry;

    #[test]
    fn every_pattern_stands_for_hosts_that_are_ours() {
        for pattern in EVERY_HOST {
            // A region of the partition that uses the suffix.
            let regions = [
                "eu-west-1",
                "cn-north-1",
                "eusc-de-east-1",
                "us-iso-east-1",
                "us-isob-east-1",
                "eu-isoe-west-1",
                "us-isof-south-1",
            ];
            let fits = regions.iter().any(|region| {
                let host = pattern
                    .replacen('*', "111122223333", 1)
                    .replacen('*', region, 1);
                Registry::parse(&host).is_some()
            });
            assert!(fits, "{pattern}");
        }
    }

    #[test]
    fn named_registries_stand_in_the_place_of_the_patterns() {
        let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        let text = provider_config(&[host.parse().unwrap()]);
        assert!(
            text.ends_with(&format!("  matchImages:\n  - \"{host}\"\n")),
            "{text}"
        );
        assert!(provider_config(&[]).contains("  - \"*.dkr.ecr.*.amazonaws.com\"\n"));
    }
}
