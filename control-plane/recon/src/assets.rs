//! The page's files, built into the binary. See docs/decisions/0016-recons-page.md.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use crate::server::Answer;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal $kind:ident $file:literal;)*) => {
        /// Path, type and bytes of each.
        const FILES: &[(&str, &str, &str)] =
            &[$(($path, $kind, include_str!(concat!("../assets/", $file)))),*];
    };
}

files! {
    "/" HTML "index.html";
    "/style.css" STYLE "style.css";
    "/icon.svg" IMAGE "icon.svg";
    "/app.js" SCRIPT "app.js";
    "/parts.js" SCRIPT "parts.js";
    "/cluster.js" SCRIPT "cluster.js";
    "/nodes.js" SCRIPT "nodes.js";
    "/containers.js" SCRIPT "containers.js";
    "/browse.js" SCRIPT "browse.js";
    "/chart.js" SCRIPT "chart.js";
    "/vendor/preact.js" SCRIPT "vendor/preact.js";
    "/vendor/hooks.js" SCRIPT "vendor/hooks.js";
    "/vendor/htm.js" SCRIPT "vendor/htm.js";
    "/vendor/uplot.js" SCRIPT "vendor/uplot.js";
    "/vendor/uplot.css" STYLE "vendor/uplot.css";
}

/// The file at `path`, if there is one.
pub(crate) fn answer(path: &str) -> Option<Answer> {
    let (_, content_type, text) = FILES.iter().find(|(known, ..)| *known == path)?;
    // Which bytes they are, for browsers that have them: not a matter of trust.
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = Some(format!("\"{:016x}\"", hasher.finish()));
    Some(Answer { status: 200, content_type, body: Bytes::from_static(text.as_bytes()), tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page may weigh over the wire.
    const WEIGHT_MAX: usize = 300_000;

    #[test]
    fn the_page_is_light_and_loads_nothing_from_elsewhere() {
        let weight: usize = FILES.iter().map(|(.., text)| text.len()).sum();
        assert!(weight < WEIGHT_MAX, "{weight} bytes");
        for (path, _, text) in FILES {
            let own = !path.starts_with("/vendor/");
            assert!(!own || !text.contains("https://"), "{path} names another host");
            assert!(!own || !text.contains("innerHTML"), "{path} makes HTML of text");
        }
        let html = FILES[0].2;
        for (path, ..) in FILES.iter().filter(|(path, ..)| path.ends_with(".css")) {
            assert!(html.contains(&path[1..]), "{path} is not loaded");
        }
    }
}
