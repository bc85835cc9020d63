//! What every parser here answers when the text is wrong: the text, the place, the reason and a valid example.

use std::borrow::Cow;
use std::fmt;

/// Characters of a wrong text that an error repeats; the rest is only counted, so that an error stays one line.
const SHOWN_MAX: usize = 80;

/// Text (or a number from the wire) that is not what it should be.
///
/// The message names the kind of value, shows the text (cut after 80 characters), the place and a valid example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    what: &'static str,
    text: String,
    chars_cut: usize,
    character: usize,
    why: Cow<'static, str>,
    example: &'static str,
}

impl Malformed {
    /// `text` is no `what`: at byte `at` of it, `why`. `example` is a text that parses.
    pub(crate) fn new(
        what: &'static str,
        text: &str,
        at: usize,
        why: impl Into<Cow<'static, str>>,
        example: &'static str,
    ) -> Malformed {
        let at = text.floor_char_boundary(at.min(text.len()));
        let cut = text.char_indices().nth(SHOWN_MAX).map_or(text.len(), |(byte, _)| byte);
        Malformed {
            what,
            text: text[..cut].to_owned(),
            chars_cut: text[cut..].chars().count(),
            character: text[..at].chars().count() + 1,
            why: why.into(),
            example,
        }
    }

    /// The kind of value that was asked for, as a person calls it: `bucket name`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The first character that is wrong, counted from 1; one past the end if something is missing there.
    pub fn character(&self) -> usize {
        self.character
    }

    /// A text that parses as this kind of value.
    pub fn example(&self) -> &'static str {
        self.example
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Malformed { what, text, chars_cut, character, why, example } = self;
        write!(f, "{what} {text:?}")?;
        if *chars_cut > 0 {
            write!(f, " and {chars_cut} characters more")?;
        }
        write!(f, ": {why} at character {character}; a valid one is {example}")
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_text_place_reason_and_example_in_one_line() {
        let error = Malformed::new("bucket name", "pho\ntos", 3, "'\\n' is not allowed", "photos-2026");
        assert_eq!(
            error.to_string(),
            "bucket name \"pho\\ntos\": '\\n' is not allowed at character 4; a valid one is photos-2026"
        );
    }

    #[test]
    fn a_long_text_is_cut_and_counted() {
        let error = Malformed::new("key name", &"é".repeat(1000), 2000, "too long", "photos/cat");
        let shown = error.to_string();
        assert!(shown.contains("and 920 characters more"), "{shown}");
        assert!(shown.contains("at character 1001"), "{shown}");
        assert!(shown.len() < 400, "{shown}");
    }

    #[test]
    fn a_place_inside_a_character_or_past_the_end_still_prints() {
        assert_eq!(Malformed::new("key name", "éé", 1, "wrong", "cat").character(), 1);
        assert_eq!(Malformed::new("key name", "éé", 99, "wrong", "cat").character(), 3);
    }
}
