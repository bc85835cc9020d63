//! Java's properties text: what Ozone writes its `VERSION` files in.
//!
//! Shape   lines `key=value`; `#` and `!` begin comments; a backslash escapes the next character or, at the end of a
//!         line, joins it with the next.
//! Errors  [`FormatError::Garbled`] with the line.
//! Source  docs/formats/datanode-volume.md.

use super::FormatError;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What may stand before a key.
const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// Reads a properties text. A key that stands twice has its last value, as in Java.
pub fn decode(what: &'static str, text: &str) -> Result<BTreeMap<String, String>, FormatError> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, first)) = lines.next() {
        let mut line = first.trim_start_matches(BLANK).to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // An odd number of backslashes at the end continues the line.
        while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start_matches(BLANK));
        }
        let garbled = |why: &str| FormatError::Garbled { what, line: number + 1, why: why.to_owned() };
        let mut chars = line.chars().peekable();
        let key = unescape(&mut chars, |c| matches!(c, '=' | ':' | ' ' | '\t')).map_err(garbled)?;
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
            while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        }
        let value = unescape(&mut chars, |_| false).map_err(garbled)?;
        found.insert(key, value);
    }
    Ok(found)
}

/// Writes `entries`, sorted by key, under one comment line.
pub fn encode(comment: &str, entries: &BTreeMap<String, String>) -> String {
    let mut text = format!("#{}\n", comment.replace(['\n', '\r'], " "));
    for (key, value) in entries {
        escape(&mut text, key, true);
        text.push('=');
        escape(&mut text, value, false);
        text.push('\n');
    }
    text
}

fn unescape(chars: &mut Peekable<Chars<'_>>, stop: impl Fn(char) -> bool) -> Result<String, &'static str> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !stop(*c)) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit =
                    u32::from_str_radix(&digits, 16).map_err(|_| "\\u is not followed by four digits")?;
                text.push(char::from_u32(unit).ok_or("\\u names half of a surrogate pair")?);
            }
            Some(other) => text.push(other),
            None => return Err("the text ends in a backslash"),
        }
    }
    Ok(text)
}

fn escape(into: &mut String, text: &str, key: bool) {
    for (at, c) in text.chars().enumerate() {
        match c {
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '\u{c}' => into.push_str("\\f"),
            ' ' if key || at == 0 => into.push_str("\\ "),
            '\\' | '=' | ':' | '#' | '!' => {
                into.push('\\');
                into.push(c);
            }
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_java_writes_is_read() {
        let text = "#Fri Aug 21 10:00:00 UTC 2026\nctime=1755770400000\nclusterID=CID-a\\:b\n! note\n  key\\ one : v\\u0041 \\\n   w\n";
        let found = decode("VERSION", text).unwrap();
        assert_eq!(found["ctime"], "1755770400000");
        assert_eq!(found["clusterID"], "CID-a:b");
        assert_eq!(found["key one"], "vA w");
    }

    #[test]
    fn a_broken_escape_is_an_error_with_its_line() {
        let wrong = decode("VERSION", "a=1\nb=\\u00g0\n").unwrap_err();
        assert!(matches!(wrong, FormatError::Garbled { line: 2, .. }), "{wrong}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(entries in prop::collection::btree_map(".{1,8}", ".{0,8}", 0..5)) {
            prop_assert_eq!(decode("x", &encode("c", &entries)).unwrap(), entries);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = decode("x", &text);
        }
    }
}
