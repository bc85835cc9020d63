//! No file names a place on somebody's machine: an absolute path under a home or a build folder.

use crate::rules::MACHINE_ROOTS;
use crate::violation::Violation;

/// Every such path in the file at `path`, text or not.
pub(crate) fn violations(path: &str, bytes: &[u8]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        for (at, _) in line.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if let Some(len) = machine_path_len(line, at) {
                found.push(Violation {
                    place: format!("{path}:{}", number + 1),
                    what: format!(
                        "`{}` is a place on one machine",
                        String::from_utf8_lossy(&line[at..at + len])
                    ),
                    rule: "a clone works anywhere: no file names an absolute path of a machine".to_owned(),
                    fix:
                        "use a path relative to the workspace, a temporary folder, or an environment variable"
                            .to_owned(),
                });
            }
        }
    }
    found
}

/// The length of the machine's path that starts with the slash at `at`, if one does.
fn machine_path_len(line: &[u8], at: usize) -> Option<usize> {
    // A slash after a word or a variable goes on with a path or an address; it starts none.
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-$}~)*%".contains(&byte) || !byte.is_ascii();
    if at > 0 && goes_on(line[at - 1]) {
        return None;
    }
    let rest = &line[at + 1..];
    let root = MACHINE_ROOTS.iter().find(|root| rest.starts_with(root.as_bytes()))?;
    let below = rest[root.len()..].strip_prefix(b"/")?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(byte);
    let name_len = below.iter().take_while(|byte| is_name(byte)).count();
    (name_len > 0).then_some(1 + root.len() + 1 + name_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written apart, so that this file passes its own check.
    fn at(root: &str) -> String {
        format!("/{root}/jo/src")
    }

    #[test]
    fn paths_of_a_machine_are_found_in_any_file() {
        for root in MACHINE_ROOTS {
            let path = at(root);
            for line in [
                format!("cd {path}"),
                path.clone(),
                format!("\"{path}\""),
                format!("({path})"),
                format!("file://{path}"),
                format!("A={path}:/usr/bin"),
            ] {
                let text = format!("first\n{line}\n");
                let found = violations("docs/a.md", text.as_bytes());
                assert_eq!(found.len(), 1, "{line}");
                assert_eq!(found[0].place, "docs/a.md:2");
                assert!(found[0].what.starts_with(&format!("`{path}`")), "{}", found[0].what);
            }
            assert_eq!(violations("a.bin", &[b"\xff\x00", path.as_bytes(), b"\xfe"].concat()).len(), 1);
        }
    }

    #[test]
    fn other_paths_are_left_alone() {
        for text in [
            "target/work/x",
            "$HOME/work/x",
            "${CACHE}/work/x",
            "https://example.org/home/x",
            "../work/x",
            "/usr/lib/x",
            "/homestead/x",
            "the folder /home/ is not a path of one user",
            "/data/root/x",
            "/rooted/x",
        ] {
            assert!(violations("docs/a.md", text.as_bytes()).is_empty(), "{text}");
        }
    }
}
