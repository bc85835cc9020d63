//! Words that Rust sources may say only in some modules. Comments and strings do not count: the file is cut into
//! tokens as the compiler does it.

use std::str::FromStr;

use proc_macro2::{Ident, TokenStream, TokenTree};

use crate::rules::{WORDS, Word};
use crate::violation::Violation;

/// Every place in the file at `path` (relative to the workspace's root) that says a word it may not.
pub(crate) fn violations(path: &str, bytes: &[u8]) -> Vec<Violation> {
    let words: Vec<&Word> = WORDS.iter().filter(|word| concerns(word, path)).collect();
    let said = |word: &&Word| bytes.windows(word.word.len()).any(|window| window == word.word.as_bytes());
    let words: Vec<&Word> = words.into_iter().filter(said).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let tokens = std::str::from_utf8(bytes).ok().and_then(|text| TokenStream::from_str(text).ok());
    let Some(tokens) = tokens else {
        return vec![Violation {
            place: path.to_owned(),
            what: "the file cannot be cut into Rust tokens".to_owned(),
            rule: "files that end in .rs are Rust, so that they can be checked".to_owned(),
            fix: "mend it, or give it another ending".to_owned(),
        }];
    };
    let mut found = Vec::new();
    for_each_ident(tokens, &mut |ident| {
        for word in words.iter().filter(|word| ident == word.word) {
            found.push(Violation {
                place: format!("{path}:{}", ident.span().start().line),
                what: format!("`{}` stands here", word.word),
                rule: word.rule.to_owned(),
                fix: word.fix.to_owned(),
            });
        }
    });
    found
}

fn concerns(word: &Word, path: &str) -> bool {
    let allowed = |place: &&str| path == *place || (place.ends_with('/') && path.starts_with(*place));
    path.starts_with(word.under) && !word.allowed.iter().any(allowed)
}

fn for_each_ident(tokens: TokenStream, act: &mut impl FnMut(Ident)) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => act(ident),
            TokenTree::Group(group) => for_each_ident(group.stream(), act),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<String> {
        violations(path, text.as_bytes()).into_iter().map(|violation| violation.place).collect()
    }

    #[test]
    fn unsafe_stands_only_in_its_modules() {
        let block = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(places("om/src/lib.rs", block), ["om/src/lib.rs:2"]);
        assert_eq!(places("io/src/shard.rs", block), ["io/src/shard.rs:2"]);
        assert_eq!(places("ec/benches/encode.rs", block), ["ec/benches/encode.rs:2"]);
        for allowed in ["io/src/buffer.rs", "io/src/sys.rs", "ec/src/isa_l.rs"] {
            assert!(places(allowed, block).is_empty(), "{allowed}");
        }
    }

    #[test]
    fn every_form_of_unsafe_counts() {
        let forms = [
            "unsafe fn f() {}",
            "unsafe impl Send for X {}",
            "unsafe extern \"C\" {}",
            "#[unsafe(no_mangle)] fn f() {}",
            "macro_rules! m { () => { unsafe { f() } } }",
        ];
        for form in forms {
            assert_eq!(places("om/src/lib.rs", form).len(), 1, "{form}");
        }
    }

    #[test]
    fn comments_strings_and_longer_words_do_not_count() {
        let text = "//! unsafe\n/* unsafe */ #![deny(unsafe_code)]\nconst A: &str = \"unsafe\"; const B: &str = r#\"unsafe\"#;";
        assert!(places("om/src/lib.rs", text).is_empty());
    }

    #[test]
    fn one_module_of_the_datanode_names_rocksdb() {
        let text = "use rocksdb::DB;";
        assert_eq!(places("datanode/src/container.rs", text), ["datanode/src/container.rs:1"]);
        assert_eq!(places("datanode/tests/open.rs", text), ["datanode/tests/open.rs:1"]);
        assert!(places("datanode/src/metadata/rocks.rs", text).is_empty());
        assert!(places("datanode/src/metadata/rocks/batch.rs", text).is_empty());
        assert!(places("control-plane/consensus/src/log.rs", text).is_empty());
    }

    #[test]
    fn a_file_that_is_no_rust_is_found() {
        let found = violations("om/src/lib.rs", b"unsafe { ");
        assert!(found[0].what.contains("cannot be cut"), "{found:?}");
    }
}
