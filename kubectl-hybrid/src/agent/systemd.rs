//! A unit of the user's systemd. Rules: systemd.service(5), systemd.syntax(7).

use std::fmt::Write as _;

use super::definition::Definition;
use crate::exit::Exit;

/// The text of the unit.
pub(super) fn unit(definition: &Definition) -> String {
    let mut text = format!(
        "[Unit]\nDescription={}\nStartLimitIntervalSec=0\n\n[Service]\nExecStart={}",
        specifiers(&definition.description),
        // A colon keeps systemd from looking for variables in the line.
        quoted(&format!(":{}", definition.program.display()))
    );
    for argument in &definition.arguments {
        let _ = write!(text, " {}", quoted(argument));
    }
    let _ = write!(
        text,
        "\nWorkingDirectory={}\n",
        specifiers(&definition.folder.display().to_string())
    );
    for (name, value) in &definition.environment {
        let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}")));
    }
    // What a guard refuses is refused the next time, too.
    let refused = Exit::Refused as u8;
    let _ = write!(
        text,
        "Restart=always\nRestartSec=30\nRestartPreventExitStatus={refused}\nNoNewPrivileges=yes\n\n\
         [Install]\nWantedBy=default.target\n"
    );
    text
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{}\"", specifiers(&escaped))
}

fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;

    pub(in crate::agent) fn sample() -> Definition {
        Definition {
            name: "kubectl-hybrid-shop-dev".to_owned(),
            description: "Pull secret of shop, workspace dev".to_owned(),
            program: PathBuf::from("/opt/my tools/kubectl-hybrid"),
            arguments: [
                "regcred",
                "watch",
                "--context=kind-\"dev\"",
                "team-<1>",
                "100%",
                "$HOME",
            ]
            .map(str::to_owned)
            .to_vec(),
            folder: PathBuf::from("/home/me/100% shop"),
            environment: vec![
                ("AWS_PROFILE".to_owned(), "dev & test".to_owned()),
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ],
            log: PathBuf::from("/home/me/.cache/agent.log"),
            account: Some(r"LAPTOP\ann & co".to_owned()),
        }
    }

    #[test]
    fn the_unit_quotes_what_systemd_would_read() {
        insta::assert_snapshot!(unit(&sample()), @r#"
        [Unit]
        Description=Pull secret of shop, workspace dev
        StartLimitIntervalSec=0

        [Service]
        ExecStart=":/opt/my tools/kubectl-hybrid" "regcred" "watch" "--context=kind-\"dev\"" "team-<1>" "100%%" "$HOME"
        WorkingDirectory=/home/me/100%% shop
        Environment="AWS_PROFILE=dev & test"
        Environment="PATH=/usr/bin:/bin"
        Restart=always
        RestartSec=30
        RestartPreventExitStatus=4
        NoNewPrivileges=yes

        [Install]
        WantedBy=default.target
        "#);
    }
}
