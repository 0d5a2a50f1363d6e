//! By what a file is known again without reading it.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Two writes within one step of a file system's clock have the same time. Linux steps every few
/// milliseconds; what keeps no parts of a second keeps every second one at worst (FAT).
const FINE_STEP: Duration = Duration::from_millis(50);
const COARSE_STEP: Duration = Duration::from_secs(2);

/// A file's length, times and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    /// Since 1970; nothing where the system does not tell.
    written: Option<Duration>,
    /// When anything about the file changed, its time included; and its number. Unix alone has them.
    changed: (i64, i64),
    number: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let written = metadata.modified().ok();
        let (changed, number) = of_inode(metadata);
        Self {
            length: metadata.len(),
            written: written.and_then(|at| at.duration_since(UNIX_EPOCH).ok()),
            changed,
            number,
        }
    }

    /// Whether the file may have been written once more at the time that it shows, after somebody
    /// looked at it at this time.
    ///
    /// Always where the system does not say when a file was changed: there one with an older time could
    /// be put in its place.
    pub(super) fn is_racy(&self, looked: SystemTime) -> bool {
        let (Some(written), true) = (self.written, cfg!(unix)) else {
            return true;
        };
        let step = if written.subsec_nanos() == 0 {
            COARSE_STEP
        } else {
            FINE_STEP
        };
        let (seconds, nanos) = self.changed;
        let changed = Duration::new(
            u64::try_from(seconds).unwrap_or(0),
            u32::try_from(nanos).unwrap_or(0),
        );
        // What is from the future is as young as can be.
        looked
            .duration_since(UNIX_EPOCH + written.max(changed))
            .map_or(true, |age| age <= step)
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let written = self.written.unwrap_or_default();
        let mut bytes = self.length.to_le_bytes().to_vec();
        bytes.extend(written.as_nanos().to_le_bytes());
        bytes.extend(self.changed.0.to_le_bytes());
        bytes.extend(self.changed.1.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes
    }
}

#[cfg(unix)]
fn of_inode(metadata: &Metadata) -> ((i64, i64), u64) {
    use std::os::unix::fs::MetadataExt as _;

    let changed = (metadata.ctime(), metadata.ctime_nsec());
    (changed, metadata.ino())
}

#[cfg(not(unix))]
fn of_inode(_metadata: &Metadata) -> ((i64, i64), u64) {
    ((0, 0), 0)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(written: Duration) -> Stamp {
        Stamp {
            length: 1,
            written: Some(written),
            changed: (0, 0),
            number: 7,
        }
    }

    #[test]
    fn a_file_that_was_just_written_may_be_written_again_unseen() {
        let at = |millis: u64| UNIX_EPOCH + Duration::from_millis(millis);
        let fine = stamp(Duration::from_millis(10_500));
        assert!(fine.is_racy(at(10_520)));
        assert!(!fine.is_racy(at(10_600)));
        assert!(fine.is_racy(at(10_000)), "from the future");
        let coarse = stamp(Duration::from_secs(10));
        assert!(coarse.is_racy(at(11_900)));
        assert!(!coarse.is_racy(at(12_100)));
        let renamed = Stamp {
            changed: (10, 550_000_000),
            ..fine
        };
        assert!(renamed.is_racy(at(10_590)));
        let untold = Stamp {
            written: None,
            ..fine
        };
        assert!(untold.is_racy(at(99_000)));
    }

    #[test]
    fn whatever_differs_is_told() {
        let one = stamp(Duration::from_secs(10));
        let others = [
            Stamp { length: 2, ..one },
            stamp(Duration::from_secs(11)),
            Stamp {
                changed: (0, 1),
                ..one
            },
            Stamp { number: 8, ..one },
        ];
        for other in others {
            assert_ne!(one.to_bytes(), other.to_bytes());
        }
    }
}
