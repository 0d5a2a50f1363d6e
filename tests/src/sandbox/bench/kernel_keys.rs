//! Keys that a measurement leaves in the kernel. Keyrings belong to a user and not to a machine:
//! what the sandbox writes there would stay with the user.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// Begins the description of every key of the product.
const PREFIX: &str = "ecr-hybrid:";

/// The product's keys at one time, by their ids as the kernel prints them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KernelKeys(BTreeSet<String>);

impl KernelKeys {
    /// The keys that there are now. None where the kernel has no keyrings.
    pub(super) fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/keys").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let ids = text
            .lines()
            .filter(|line| line.split_whitespace().any(|word| word.starts_with(PREFIX)))
            // The second word has the flags of keys: `i` and `D` mean that it is on its way out.
            .filter(|line| !flags(line).contains(['i', 'D']))
            .filter_map(|line| line.split_whitespace().next());
        Self(ids.map(str::to_owned).collect())
    }

    /// Removes the keys that have come since, and says how many of them stayed all the same.
    pub(super) fn remove_newer(&self) -> usize {
        let newer = Self::now();
        let ids: Vec<&String> = newer.0.difference(&self.0).collect();
        if ids.is_empty() {
            return 0;
        }
        // Only a key that is reached from the session's keyring may be removed.
        keyctl(&["get_persistent", "@s"]);
        keyctl(&["link", "@u", "@s"]);
        for id in &ids {
            keyctl(&["invalidate", &format!("0x{id}")]);
        }
        Self::now().0.difference(&self.0).count()
    }
}

fn flags(line: &str) -> &str {
    line.split_whitespace().nth(1).unwrap_or_default()
}

/// What came of it is seen in the list of keys.
fn keyctl(arguments: &[&str]) {
    let _ = Command::new("keyctl").args(arguments).output();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_living_keys_of_the_product_count() {
        let text = "\
            0659dd8d I--Q---     1  11h 3f010000     0     0 user      ecr-hybrid:00261: 1597\n\
            1cc465ad I--Q---     1 perm 1f3f0000     0 65534 keyring   _uid_ses.0: 1\n\
            2659dd8d I--Q--i     1  11h 3f010000     0     0 user      ecr-hybrid:99999: 1597\n";
        assert_eq!(
            KernelKeys::parse(text).0,
            BTreeSet::from(["0659dd8d".to_owned()])
        );
        assert!(KernelKeys::parse("").0.is_empty());
    }
}
