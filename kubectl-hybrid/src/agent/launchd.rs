//! A launch agent of macOS. Rules: launchd.plist(5).

use std::fmt::Write as _;

use super::definition::Definition;

/// The text of the property list.
pub(super) fn plist(definition: &Definition) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n",
    );
    let string = |text: &str| format!("<string>{}</string>", escaped(text));
    let mut entry = |key: &str, value: &str| {
        let _ = writeln!(text, "  <key>{key}</key>\n  {value}");
    };
    entry("Label", &string(&definition.name));
    let program = definition.program.display().to_string();
    let mut arguments = String::from("<array>\n");
    for argument in std::iter::once(&program).chain(&definition.arguments) {
        let _ = writeln!(arguments, "    {}", string(argument));
    }
    entry("ProgramArguments", &format!("{arguments}  </array>"));
    entry(
        "WorkingDirectory",
        &string(&definition.folder.display().to_string()),
    );
    let mut environment = String::from("<dict>\n");
    for (name, value) in &definition.environment {
        let _ = writeln!(
            environment,
            "    <key>{}</key>\n    {}",
            escaped(name),
            string(value)
        );
    }
    entry("EnvironmentVariables", &format!("{environment}  </dict>"));
    entry("RunAtLoad", "<true/>");
    entry("KeepAlive", "<true/>");
    entry("ThrottleInterval", "<integer>30</integer>");
    entry("ProcessType", &string("Background"));
    entry(
        "StandardErrorPath",
        &string(&definition.log.display().to_string()),
    );
    text.push_str("</dict>\n</plist>\n");
    text
}

/// Text as it may stand between the tags of XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::systemd::tests::sample;

    #[test]
    fn the_plist_escapes_what_xml_would_read() {
        insta::assert_snapshot!(plist(&sample()), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
          <key>Label</key>
          <string>kubectl-hybrid-shop-dev</string>
          <key>ProgramArguments</key>
          <array>
            <string>/opt/my tools/kubectl-hybrid</string>
            <string>regcred</string>
            <string>watch</string>
            <string>--context=kind-&quot;dev&quot;</string>
            <string>team-&lt;1&gt;</string>
            <string>100%</string>
            <string>$HOME</string>
          </array>
          <key>WorkingDirectory</key>
          <string>/home/me/100% shop</string>
          <key>EnvironmentVariables</key>
          <dict>
            <key>AWS_PROFILE</key>
            <string>dev &amp; test</string>
            <key>PATH</key>
            <string>/usr/bin:/bin</string>
          </dict>
          <key>RunAtLoad</key>
          <true/>
          <key>KeepAlive</key>
          <true/>
          <key>ThrottleInterval</key>
          <integer>30</integer>
          <key>ProcessType</key>
          <string>Background</string>
          <key>StandardErrorPath</key>
          <string>/home/me/.cache/agent.log</string>
        </dict>
        </plist>
        "#);
    }
}
