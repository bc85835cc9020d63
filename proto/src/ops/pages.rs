//! The pages: a pure function from a request to an answer.

use super::{LogLevels, Operators, Watched, conf};
use crate::ops::metrics::Exposition;

/// The longest query that is read, in bytes.
const QUERY_MAX: usize = 4096;

/// A request, as far as the pages care.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// `GET`, `HEAD` or `POST`; others are refused.
    pub method: &'a str,
    /// The path, from `/` on.
    pub path: &'a str,
    /// What stands after `?`.
    pub query: &'a str,
    /// The header `Accept`.
    pub accept: &'a str,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP's status.
    pub status: u16,
    /// The body's type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";

fn plain(status: u16, body: impl Into<String>) -> Page {
    let mut body = body.into();
    body.push('\n');
    Page { status, content_type: TEXT, body }
}

/// What `ask` is answered.
pub fn answer(operators: &Operators, server: &dyn Watched, ask: Ask<'_>) -> Page {
    if !matches!(ask.method, "GET" | "HEAD" | "POST") {
        return plain(405, "the pages are read with GET");
    }
    if ask.query.len() > QUERY_MAX {
        return plain(414, "the query is too long");
    }
    match ask.path {
        "/prom" | "/metrics" => match server.figures() {
            Exposition::OpenMetrics(body) => Page {
                status: 200,
                content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                body,
            },
            Exposition::Prometheus(body) => {
                Page { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body }
            }
        },
        "/conf" => settings(operators, &ask),
        "/healthz" => verdict(server.health()),
        "/readyz" => verdict(server.health().and_then(|()| server.ready())),
        "/logLevel" => match &operators.logs {
            Some(logs) => log_level(&**logs, &ask),
            None => plain(404, "this process's log levels are fixed"),
        },
        "/" => plain(200, "/prom /metrics /conf /healthz /readyz /logLevel"),
        _ => plain(404, "there is no such page; / names those that are"),
    }
}

fn verdict(found: Result<(), String>) -> Page {
    match found {
        Ok(()) => plain(200, "ok"),
        Err(why) => plain(503, why),
    }
}

fn settings(operators: &Operators, ask: &Ask<'_>) -> Page {
    let name = value(ask.query, "name");
    let wanted: Vec<_> = match &name {
        Some(name) => operators.settings.iter().filter(|setting| setting.name == *name).collect(),
        None => operators.settings.iter().collect(),
    };
    if name.is_some() && wanted.is_empty() {
        return plain(404, "there is no such setting");
    }
    let json = match value(ask.query, "format").as_deref() {
        Some("json") => true,
        Some("xml") => false,
        Some(_) => return plain(400, "format is json or xml"),
        None => ask.accept.contains("application/json"),
    };
    match json {
        true => Page {
            status: 200,
            content_type: "application/json; charset=utf-8",
            body: conf::json(&wanted, name.is_some()),
        },
        false => Page { status: 200, content_type: "text/xml; charset=utf-8", body: conf::xml(&wanted) },
    }
}

/// As Hadoop's servlet: its command line finds the lines that begin with this mark.
fn log_level(logs: &dyn LogLevels, ask: &Ask<'_>) -> Page {
    const MARK: &str = "<!-- OUTPUT -->";
    let part = value(ask.query, "log").unwrap_or_default();
    if !part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-')) {
        return plain(400, "log names a part of the program, allotrope_datanode for example");
    }
    let mut lines = vec![format!("{MARK}Submitted Class Name: <b>{part}</b>")];
    if let Some(level) = value(ask.query, "level") {
        if !level.chars().all(|c| c.is_ascii_alphanumeric()) {
            return plain(400, "level is one of trace, debug, info, warn, error, off");
        }
        lines.push(format!("{MARK}Submitted Level: <b>{level}</b>"));
        if let Err(why) = logs.set_level(&part, &level) {
            return plain(400, why);
        }
        tracing::warn!(part, level, "an operator changed a log level");
        lines.push("Setting Level to ".to_owned() + &level + " ...");
    }
    lines.push(format!("{MARK}Effective Level: <b>{}</b>", logs.level(&part)));
    Page { status: 200, content_type: "text/html; charset=utf-8", body: lines.join("<br />\n") + "<br />\n" }
}

/// The first value of `name` in a query, decoded.
fn value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
}

/// Percent-decoding; what is no escape stays as it is, what is no UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match bytes[at] {
            b'%' => bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok()),
            _ => None,
        };
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ops::Setting;
    use proptest::prelude::*;
    use std::sync::{Arc, Mutex};

    pub(in crate::ops) struct Server(pub(in crate::ops) Result<(), String>);

    impl Watched for Server {
        fn figures(&self) -> Exposition {
            Exposition::OpenMetrics("x_total 1\n# EOF\n".into())
        }
        fn health(&self) -> Result<(), String> {
            self.0.clone()
        }
        fn ready(&self) -> Result<(), String> {
            Err("SCM has not registered it".into())
        }
    }

    #[derive(Default)]
    struct Logs(Mutex<Vec<(String, String)>>);

    impl LogLevels for Logs {
        fn level(&self, part: &str) -> String {
            let set = self.0.lock().unwrap();
            set.iter().rev().find(|(of, _)| of == part).map_or("INFO".into(), |(_, level)| level.clone())
        }
        fn set_level(&self, part: &str, level: &str) -> Result<(), String> {
            if level == "loud" {
                return Err("loud is no level".into());
            }
            self.0.lock().unwrap().push((part.into(), level.into()));
            Ok(())
        }
    }

    pub(in crate::ops) fn operators() -> Operators {
        let setting = |name: &str, value: &str| Setting {
            name: name.into(),
            value: value.into(),
            origin: "flag".into(),
        };
        Operators {
            listen: None,
            settings: Arc::new([setting("hdds.datanode.dir", "/d"), setting("a.password", "hunter2")]),
            logs: Some(Arc::new(Logs::default())),
        }
    }

    fn get(path_and_query: &str) -> Page {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        answer(&operators(), &Server(Ok(())), Ask { method: "GET", path, query, accept: "" })
    }

    #[test]
    fn each_page_answers_what_it_is_for() {
        assert_eq!(get("/prom").body, "x_total 1\n# EOF\n");
        assert_eq!(get("/metrics"), get("/prom"));
        assert_eq!((get("/healthz").status, get("/readyz").status), (200, 503));
        assert_eq!(get("/readyz").body, "SCM has not registered it\n");
        assert!(get("/conf").body.contains("<name>hdds.datanode.dir</name><value>/d</value>"));
        assert!(get("/conf?format=json&name=hdds%2Edatanode.dir").body.contains("\"value\":\"/d\""));
        assert!(!get("/conf").body.contains("hunter2"));
        assert_eq!(get("/conf?name=nothing").status, 404);
        assert_eq!(get("/jmx").status, 404);
        let sick = Server(Err("no disk is left".into()));
        for path in ["/healthz", "/readyz"] {
            let page = answer(&operators(), &sick, Ask { method: "GET", path, query: "", accept: "" });
            assert_eq!((page.status, page.body.as_str()), (503, "no disk is left\n"));
        }
        let put = Ask { method: "PUT", path: "/conf", query: "", accept: "" };
        assert_eq!(answer(&operators(), &sick, put).status, 405);
    }

    #[test]
    fn a_level_is_read_and_changed_as_ozones_tools_do() {
        let operators = operators();
        let ask = |query| {
            answer(&operators, &Server(Ok(())), Ask { method: "GET", path: "/logLevel", query, accept: "" })
        };
        assert!(ask("log=allotrope_datanode").body.contains("<!-- OUTPUT -->Effective Level: <b>INFO</b>"));
        let changed = ask("log=allotrope_datanode&level=debug").body;
        assert!(changed.contains("<!-- OUTPUT -->Effective Level: <b>debug</b>"), "{changed}");
        assert!(ask("log=other").body.contains("<b>INFO</b>"));
        assert_eq!(ask("log=a&level=loud").status, 400);
        assert_eq!(ask("log=%3Cscript%3E").status, 400);
    }

    proptest! {
        #[test]
        fn no_request_panics(path in ".{0,40}", query in ".{0,80}", accept in ".{0,20}") {
            for path in [path.as_str(), "/conf", "/logLevel", "/prom"] {
                answer(&operators(), &Server(Ok(())), Ask { method: "GET", path, query: &query, accept: &accept });
            }
        }
    }
}
