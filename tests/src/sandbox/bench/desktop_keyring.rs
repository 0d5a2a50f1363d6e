//! A desktop's keyring for a measurement: GNOME Keyring on a bus of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Unlocks the keyring, says where the bus is, and stays until its input ends.
const SCRIPT: &str = "\
    echo pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
    echo \"bus $DBUS_SESSION_BUS_ADDRESS\"
    exec cat";

/// The keyring. It ends with this value.
pub(super) struct DesktopKeyring {
    process: Child,
    until: Option<ChildStdin>,
    address: String,
}

impl DesktopKeyring {
    /// Starts a keyring whose files are below `home`; `None` where the programs for it are missing.
    pub(super) fn start(home: &Path) -> Option<Self> {
        let mut process = Command::new("dbus-run-session")
            .args(["--", "sh", "-c", SCRIPT])
            .env("HOME", home)
            .env_remove("XDG_DATA_HOME")
            .env("XDG_RUNTIME_DIR", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let until = process.stdin.take();
        // The services that the bus starts write here too.
        let address = BufReader::new(process.stdout.take()?)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("bus ").map(str::to_owned));
        let keyring = Self {
            process,
            until,
            address: address?,
        };
        Some(keyring)
    }

    /// For `DBUS_SESSION_BUS_ADDRESS`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for DesktopKeyring {
    fn drop(&mut self) {
        self.until.take();
        let _ = self.process.wait();
    }
}
