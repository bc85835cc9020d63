//! `/conf`: the settings, as Hadoop's servlet writes them, so that Ozone's tools read them.
//!
//! Law     a value whose name says that it is a secret never leaves the process.

use std::fmt::Write;

use super::Setting;

/// What stands in place of a secret, as Hadoop writes it.
const REDACTED: &str = "<redacted>";
/// Ends and parts of names whose values are secrets.
const SECRET: [&str; 6] = ["password", "secret", "credential", "token", "private.key", "passphrase"];

fn shown(setting: &Setting) -> &str {
    let name = setting.name.to_ascii_lowercase();
    match SECRET.iter().any(|word| name.contains(word)) {
        // Names of files, sizes and times about secrets are no secrets.
        true if !["enabled", "dir", "path", "file", "interval", "lifetime"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            REDACTED
        }
        _ => &setting.value,
    }
}

/// As XML.
pub(super) fn xml(settings: &[&Setting]) -> String {
    let mut out =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n<configuration>\n");
    for setting in settings {
        let (name, value, origin) = (escape(&setting.name), escape(shown(setting)), escape(&setting.origin));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<property><name>{name}</name><value>{value}</value><final>false</final><source>{origin}</source></property>"
        );
    }
    out.push_str("</configuration>\n");
    out
}

/// As JSON: all of them, or the one that was asked for.
pub(super) fn json(settings: &[&Setting], one: bool) -> String {
    let object = |setting: &&Setting| {
        format!(
            "{{\"key\":{},\"value\":{},\"isFinal\":false,\"resource\":{}}}",
            quote(&setting.name),
            quote(shown(setting)),
            quote(&setting.origin)
        )
    };
    let all: Vec<_> = settings.iter().map(object).collect();
    match all.first() {
        Some(first) if one => format!("{{\"property\":{first}}}\n"),
        _ => format!("{{\"properties\":[{}]}}\n", all.join(",")),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: &str) -> Setting {
        Setting { name: name.into(), value: value.into(), origin: "a \"file\"".into() }
    }

    #[test]
    fn a_secret_is_not_shown_and_what_is_shown_is_escaped() {
        let all = [
            setting("hdds.datanode.dir", "/a&b<c>\"\u{1}"),
            setting("ssl.server.keystore.Password", "hunter2"),
            setting("ozone.s3g.secret", "hunter2"),
            setting("hdds.block.token.enabled", "true"),
        ];
        let all: Vec<_> = all.iter().collect();
        let (xml, json) = (xml(&all), json(&all, false));
        assert!(!xml.contains("hunter2") && !json.contains("hunter2"), "{xml}{json}");
        assert!(xml.contains("<value>/a&amp;b&lt;c&gt;\"\u{fffd}</value>"), "{xml}");
        assert!(json.contains(r#""value":"/a&b<c>\"\u0001""#), "{json}");
        assert!(json.contains(r#""key":"hdds.block.token.enabled","value":"true""#), "{json}");
        assert!(
            json.starts_with("{\"properties\":[{")
                && super::json(&all[..1], true).starts_with("{\"property\":{")
        );
    }
}
