//! Where settings come from: `allotrope.toml`, `ozone-site.xml`, the environment, flags; later ones win.

use std::path::{Path, PathBuf};

use quick_xml::Reader;
use quick_xml::events::Event;

use super::{ConfigError, KNOWN, Origin, Settings};

/// What `main` was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Files in the order given: `.xml` is read as a Hadoop configuration, all else as TOML.
    pub(crate) files: Vec<PathBuf>,
    /// `NAME=VALUE` words of `--set`.
    pub(crate) flags: Vec<String>,
}

/// Reads every source. `env` yields the environment's names and values.
pub(crate) fn load(
    sources: &Sources,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    let (xml, toml): (Vec<_>, Vec<_>) = sources.files.iter().partition(|path| is_xml(path));
    for path in toml.into_iter().chain(xml) {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        let put = |name: String, value: String| settings.put(name, value, Origin::File(path.clone()));
        if is_xml(path) { read_xml(path, &text, put)? } else { read_toml(path, &text, put)? }
    }
    for (variable, value) in env {
        // Ozone's containers pass settings as OZONE-SITE.XML_<name>; a shell can only export the upper-case form.
        let name = variable
            .strip_prefix("OZONE-SITE.XML_")
            .or_else(|| KNOWN.iter().find(|known| known.env_name() == variable).map(|known| known.name));
        if let Some(name) = name {
            settings.put(name, value, Origin::Env(variable.clone()));
        }
    }
    for text in &sources.flags {
        let (name, value) = text.split_once('=').ok_or_else(|| ConfigError::Flag { text: text.clone() })?;
        settings.put(name.trim(), value.trim(), Origin::Flag);
    }
    Ok(settings)
}

fn is_xml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}

/// Flattens TOML tables to dotted names. An array is joined with commas, as Ozone writes lists.
fn read_toml(path: &Path, text: &str, mut put: impl FnMut(String, String)) -> Result<(), ConfigError> {
    let broken = |reason: String| ConfigError::Toml { path: path.to_owned(), reason };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| broken(e.to_string()))?;
    let mut todo: Vec<(String, toml::Value)> = table.into_iter().collect();
    while let Some((name, value)) = todo.pop() {
        match value {
            toml::Value::Table(inner) => {
                todo.extend(inner.into_iter().map(|(k, v)| (format!("{name}.{k}"), v)))
            }
            value => {
                let text = scalar(&value)
                    .ok_or_else(|| broken(format!("{name} is neither a value nor a list of values")))?;
                put(name, text);
            }
        }
    }
    Ok(())
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Some(value.to_string()),
        toml::Value::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(scalar).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

/// Reads `<configuration><property><name/><value/></property></configuration>`.
fn read_xml(path: &Path, text: &str, mut put: impl FnMut(String, String)) -> Result<(), ConfigError> {
    let broken = |reason: String| ConfigError::Xml { path: path.to_owned(), reason };
    let mut reader = Reader::from_str(text);
    let mut open: Vec<String> = Vec::new();
    let (mut name, mut value) = (String::new(), String::new());
    loop {
        match reader.read_event().map_err(|e| broken(e.to_string()))? {
            Event::Start(tag) => {
                open.push(tag.name().as_ref().to_owned());
                if open.len() == 1 && open[0] != "configuration" {
                    return Err(broken(format!("it begins with <{}>, not <configuration>", open[0])));
                }
            }
            Event::Text(piece) => {
                append(&open, &mut name, &mut value, &piece);
            }
            Event::GeneralRef(entity) => {
                let raw: &str = &entity;
                let piece = resolve(raw).ok_or_else(|| broken(format!("unknown entity &{raw};")))?;
                append(&open, &mut name, &mut value, &piece);
            }
            Event::End(_) => {
                if open.pop().as_deref() != Some("property") {
                    continue;
                }
                if name.trim().is_empty() {
                    return Err(broken("a <property> has no <name>".into()));
                }
                put(name.trim().to_owned(), value.trim().to_owned());
                name.clear();
                value.clear();
            }
            Event::Eof if open.is_empty() => return Ok(()),
            Event::Eof => return Err(broken(format!("<{}> is not closed", open[open.len() - 1]))),
            _ => {}
        }
    }
}

/// Adds text to the name or value of the property that is open.
fn append(open: &[String], name: &mut String, value: &mut String, piece: &str) {
    match open.last().map(String::as_str) {
        Some("name") => name.push_str(piece),
        Some("value") => value.push_str(piece),
        _ => {}
    }
}

fn resolve(entity: &str) -> Option<String> {
    let code = match entity {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let digits = entity.strip_prefix('#')?;
            let number = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(number)?
        }
    };
    Some(code.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn later_sources_win_whatever_order_the_files_were_named_in() {
        let dir = tempfile::tempdir().unwrap();
        let xml = write(
            &dir,
            "ozone-site.xml",
            "<configuration><property><name>hdds.datanode.dir</name><value>/xml</value></property>\
            <property><name>ozone.om.address</name><value>a&amp;b</value></property></configuration>",
        );
        let toml = write(
            &dir,
            "allotrope.toml",
            "hdds.datanode.dir = [\"/t1\", \"/t2\"]\nallotrope.datanode.shards = 3\n\"ozone.scm.names\" = 's'",
        );
        let sources = Sources { files: vec![xml, toml], flags: vec!["allotrope.datanode.shards=5".into()] };
        let env = [("HDDS_DATANODE_DIR", "/env"), ("OZONE-SITE.XML_ozone.scm.names", "e"), ("HOME", "/h")];
        let env = env.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
        let settings = load(&sources, env).unwrap();
        let value = |name| settings.given(name).map(|s| s.value.as_str());
        assert_eq!(value("hdds.datanode.dir"), Some("/env"));
        assert_eq!(value("ozone.om.address"), Some("a&b"));
        assert_eq!(value("allotrope.datanode.shards"), Some("5"));
        assert_eq!(value("ozone.scm.names"), Some("e"));
        assert_eq!(settings.iter().count(), 4);
    }

    #[test]
    fn a_broken_file_is_named_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, says) in [
            ("a.toml", "a = ", "not valid TOML"),
            ("b.xml", "<conf/><x></x>", "not <configuration>"),
            ("c.xml", "<configuration><property>", "not closed"),
            ("d.xml", "<configuration><property><value>1</value></property></configuration>", "no <name>"),
            ("e.xml", "<configuration><property><name>a&bad;</name></property></configuration>", "&bad;"),
            ("f.toml", "a.b = [{c = 1}]", "a.b is neither"),
        ] {
            let path = write(&dir, name, text);
            let error = load(&Sources { files: vec![path], flags: vec![] }, std::iter::empty())
                .unwrap_err()
                .to_string();
            assert!(error.contains(name) && error.contains(says), "{error}");
        }
        let error =
            load(&Sources { files: vec!["/nowhere/x.toml".into()], flags: vec![] }, std::iter::empty());
        assert!(error.unwrap_err().to_string().contains("/nowhere/x.toml"));
    }
}
