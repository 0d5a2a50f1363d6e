//! A scheduled task of Windows. Rules: the Task Scheduler schema, and how `CommandLineToArgvW` reads a
//! command line.

use super::definition::Definition;
use super::launchd::escaped;

/// The text of the task. A task has no environment of its own: it gets the user's.
///
/// It names the user twice: a task that starts when anybody logs on is only an administrator's to
/// make.
pub(super) fn task(definition: &Definition) -> String {
    let account = definition.account.as_deref().map(escaped);
    let (whose, principals) = account.map_or_else(Default::default, |account| {
        (
            format!("\n      <UserId>{account}</UserId>"),
            format!(
                r#"
  <Principals>
    <Principal id="Author">
      <UserId>{account}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>"#
            ),
        )
    });
    let arguments: Vec<String> = definition
        .arguments
        .iter()
        .map(|text| argument(text))
        .collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{description}</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>{whose}
    </LogonTrigger>
  </Triggers>{principals}
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Hidden>true</Hidden>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions>
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
      <WorkingDirectory>{folder}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"#,
        description = escaped(&definition.description),
        program = escaped(&definition.program.display().to_string()),
        arguments = escaped(&arguments.join(" ")),
        folder = escaped(&definition.folder.display().to_string()),
    )
}

/// The account of this user, as Windows names it: `DOMAIN\user`.
pub fn account() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USERNAME").filter(|_| cfg!(windows))?;
    Some(match variable("USERDOMAIN") {
        Some(domain) => format!(r"{domain}\{user}"),
        None => user,
    })
}

/// The bytes that Windows expects: UTF-16 with its mark.
pub(super) fn encoded(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff)
        .chain(text.replace('\n', "\r\n").encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// An argument as `CommandLineToArgvW` reads it back.
fn argument(text: &str) -> String {
    if !text.is_empty() && !text.contains([' ', '\t', '"']) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    let mut backslashes = 0;
    for c in text.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                // Before a quote each backslash counts twice, and the quote needs one of its own.
                quoted.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        quoted.push(c);
    }
    quoted.extend(std::iter::repeat_n('\\', backslashes));
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::systemd::tests::sample;

    #[test]
    fn arguments_are_quoted_as_windows_reads_them() {
        let table = [
            ("plain", "plain"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            (r#"say "x""#, r#""say \"x\"""#),
            (r"C:\my dir\", r#""C:\my dir\\""#),
            (r#"a\"b"#, r#""a\\\"b""#),
        ];
        for (text, expected) in table {
            assert_eq!(argument(text), expected);
        }
    }

    #[test]
    fn the_task_starts_at_logon_and_has_no_time_limit() {
        let text = task(&sample());
        for part in [
            "<LogonTrigger>\n      <Enabled>true</Enabled>\n      <UserId>LAPTOP\\ann &amp; co</UserId>\n    </LogonTrigger>",
            "<Principal id=\"Author\">\n      <UserId>LAPTOP\\ann &amp; co</UserId>\n",
            "<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>",
            "<Command>/opt/my tools/kubectl-hybrid</Command>",
            "<WorkingDirectory>/home/me/100% shop</WorkingDirectory>",
        ] {
            assert!(text.contains(part), "{part}");
        }
        insta::assert_snapshot!(
            text.lines().find(|line| line.contains("<Arguments>")).unwrap().trim(),
            @r#"<Arguments>regcred watch &quot;--context=kind-\&quot;dev\&quot;&quot; team-&lt;1&gt; 100% $HOME</Arguments>"#
        );
        let bytes = encoded("ä\n");
        assert_eq!(bytes, [0xff, 0xfe, 0xe4, 0, b'\r', 0, b'\n', 0]);
    }
}
