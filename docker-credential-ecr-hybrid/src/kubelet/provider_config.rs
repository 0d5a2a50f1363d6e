//! The kubelet's side: a configuration file that names this program.

use std::fmt::Write as _;

use super::request::API_VERSION;
use crate::command::NAME;
use crate::configure::Server;
use crate::host;

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
    let own = servers.iter().map(|server| server.as_str().to_owned());
    let patterns: Vec<String> = if servers.is_empty() {
        host::patterns().collect()
    } else {
        own.collect()
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

    const REGIONS: [&str; 8] = [
        "eu-west-1",
        "us-gov-west-1",
        "cn-north-1",
        "eusc-de-east-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "eu-isoe-west-1",
        "us-isof-south-1",
    ];

    #[test]
    fn every_pattern_stands_for_hosts_that_are_ours() {
        for pattern in host::patterns() {
            // A region of the partition that uses the suffix.
            let fits = REGIONS.iter().any(|region| {
                let host = pattern
                    .replacen('*', "111122223333", 1)
                    .replacen('*', region, 1);
                Registry::parse(&host).is_some()
            });
            assert!(fits, "{pattern}");
        }
    }

    #[test]
    fn every_host_that_is_ours_has_a_pattern() {
        let suffixes = [
            "amazonaws.com",
            "amazonaws.com.cn",
            "amazonaws.eu",
            "c2s.ic.gov",
            "sc2s.sgov.gov",
            "cloud.adc-e.uk",
            "csp.hci.ic.gov",
            "on.aws",
            "on.amazonwebservices.com.cn",
            "on.amazonwebservices.eu",
        ];
        let text = provider_config(&[]);
        for suffix in suffixes {
            let mut ours = 0;
            for middle in ["dkr.ecr", "dkr.ecr-fips", "dkr-ecr", "dkr-ecr-fips"] {
                for region in REGIONS {
                    let host = format!("111122223333.{middle}.{region}.{suffix}");
                    if Registry::parse(&host).is_some() {
                        ours += 1;
                        let line = format!("  - \"*.{middle}.*.{suffix}\"\n");
                        assert!(text.contains(&line), "{host}");
                    }
                }
            }
            assert!(ours >= 2, "{suffix}");
        }
        for host in ["public.ecr.aws", "ecr-public.aws.com"] {
            assert!(text.contains(&format!("  - \"{host}\"\n")));
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
