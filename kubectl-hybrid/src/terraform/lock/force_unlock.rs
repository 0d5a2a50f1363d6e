//! The command of Terraform that does nearly the same, to be read and pasted by a person.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use crate::terraform::keys::Workspace;

/// Whose quotes a command is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// sh, bash, zsh.
    Posix,
    /// `PowerShell`, on Windows.
    PowerShell,
}

impl Shell {
    /// The one that people use on this system.
    #[must_use]
    pub const fn of_this_system() -> Self {
        if cfg!(windows) {
            Self::PowerShell
        } else {
            Self::Posix
        }
    }

    /// One word of a command line; what needs no quotes stays as it is.
    #[must_use]
    pub fn quoted(self, text: &str) -> Cow<'_, str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=+-".contains(c);
        // PowerShell takes a word that begins with a hyphen for a parameter, and cuts it at a dot.
        let is_plain = match self {
            Self::Posix => text.chars().all(|c| plain(c) || c == '@'),
            Self::PowerShell => {
                let parameter = text.starts_with('-') && text.contains(['.', ':']);
                text.chars().all(|c| plain(c) || c == '\\') && !parameter
            }
        };
        if !text.is_empty() && is_plain {
            return Cow::Borrowed(text);
        }
        Cow::Owned(match self {
            Self::Posix => format!("'{}'", text.replace('\'', r"'\''")),
            Self::PowerShell => format!("'{}'", text.replace('\'', "''")),
        })
    }

    /// A command line with a variable that holds for it alone.
    #[must_use]
    pub fn with_variable(self, name: &str, value: &str, command: &str) -> String {
        let value = self.quoted(value);
        match self {
            Self::Posix => format!("{name}={value} {command}"),
            Self::PowerShell => {
                // A bare word would be a command there.
                let value = value.trim_matches('\'');
                format!("$env:{name} = '{value}'; {command}; Remove-Item Env:{name}")
            }
        }
    }
}

/// `terraform force-unlock` for one lock. It fails where the lock has no state, and on a half lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForceUnlock<'a> {
    /// `terraform` or `tofu`.
    pub program: &'a str,
    /// The root folder.
    pub dir: &'a Path,
    /// The workspace; it exists when its state does.
    pub workspace: &'a Workspace,
    /// The lock's id.
    pub id: &'a str,
    /// Whose quotes are used.
    pub shell: Shell,
}

impl fmt::Display for ForceUnlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shell, .. } = self;
        let chdir = format!("-chdir={}", self.dir.display());
        let command = format!(
            "{} {} force-unlock {}",
            self.program,
            shell.quoted(&chdir),
            shell.quoted(self.id)
        );
        if self.workspace.is_default() {
            return f.write_str(&command);
        }
        let workspace = self.workspace.as_str();
        f.write_str(&shell.with_variable("TF_WORKSPACE", workspace, &command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted_into_either_shell() {
        let dev = Workspace::new("dev").unwrap();
        let default = Workspace::default_workspace();
        let cases = [
            (
                Shell::Posix,
                "infra/terraform",
                &dev,
                "TF_WORKSPACE=dev tofu -chdir=infra/terraform force-unlock 9729b6c7-55cb",
            ),
            (
                Shell::Posix,
                "my infra's",
                &default,
                r"tofu '-chdir=my infra'\''s' force-unlock 9729b6c7-55cb",
            ),
            (
                Shell::PowerShell,
                r"infra\terraform",
                &dev,
                r"$env:TF_WORKSPACE = 'dev'; tofu -chdir=infra\terraform force-unlock 9729b6c7-55cb; Remove-Item Env:TF_WORKSPACE",
            ),
            (
                Shell::PowerShell,
                r"C:\my infra's",
                &default,
                r"tofu '-chdir=C:\my infra''s' force-unlock 9729b6c7-55cb",
            ),
            (
                Shell::PowerShell,
                r"..\infra",
                &default,
                r"tofu '-chdir=..\infra' force-unlock 9729b6c7-55cb",
            ),
        ];
        for (shell, dir, workspace, expected) in cases {
            let command = ForceUnlock {
                program: "tofu",
                dir: Path::new(dir),
                workspace,
                id: "9729b6c7-55cb",
                shell,
            };
            assert_eq!(command.to_string(), expected);
        }
    }

    #[test]
    fn a_variable_with_quotes_in_it_stays_one_word() {
        assert_eq!(Shell::Posix.with_variable("A", "x y", "run"), "A='x y' run");
        assert_eq!(
            Shell::PowerShell.with_variable("A", "x&y", "run"),
            "$env:A = 'x&y'; run; Remove-Item Env:A"
        );
    }
}
