//! The REST paths: Ozone's Recon's own, with its field names, and beside them a few of ours that the page is drawn from.
//!
//! Shape   `/api/v1/…` as Ozone's; ours under `/api/v1/allotrope/…`. One file a noun; each answer is a JSON value.
//! Units   sizes are bytes, times milliseconds since 1970.
//! Bounds  a list is a page of at most [`LIMIT_MAX`]; what follows is asked for with the last name or id.
//! Errors  400 for a question that cannot be meant, 404 for what is not there, 503 where only SCM or OM knows and it is
//!         silent; each with a line of text.
//! Source  wire facts: scm.md 5.1; the test `tests/recon.rs` compares the field names.

mod cluster;
mod containers;
mod keys;
mod levels;
mod namespace;
mod own;
mod walk;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::recon::{AskError, Recon};
use crate::server::Answer;

/// Most rows of one answer.
const LIMIT_MAX: usize = 10_000;
/// Rows where no limit is given, as in Ozone.
const LIMIT: usize = 1_000;

/// Why an API request has no answer.
#[derive(Debug)]
pub(crate) struct Trouble {
    status: u16,
    why: String,
}

impl Trouble {
    fn bad(why: impl Into<String>) -> Trouble {
        Trouble { status: 400, why: why.into() }
    }

    fn missing(why: impl Into<String>) -> Trouble {
        Trouble { status: 404, why: why.into() }
    }
}

impl From<AskError> for Trouble {
    fn from(error: AskError) -> Trouble {
        let status = match &error {
            AskError::NotFound(_) => 404,
            error if error.was_answered() => 502,
            _ => 503,
        };
        Trouble { status, why: error.line() }
    }
}

/// What stands after `?`, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, Trouble> {
        match self.text(name) {
            "" => Ok(default),
            text => text.parse().map_err(|_| Trouble::bad(format!("{name} is not a number: {text}"))),
        }
    }

    /// How many rows are wanted; a negative number stands for as many as there may be, as in Ozone.
    fn limit(&self) -> Result<usize, Trouble> {
        let wanted: i64 = self.number("limit", LIMIT as i64)?;
        Ok(usize::try_from(wanted).unwrap_or(LIMIT_MAX).min(LIMIT_MAX))
    }
}

/// An answer without what was asked for.
pub(crate) fn refused(status: u16, why: &str) -> Answer {
    made(status, &json!({ "error": why }))
}

fn made(status: u16, value: &Value) -> Answer {
    Answer {
        status,
        content_type: "application/json; charset=utf-8",
        body: value.to_string().into(),
        tag: None,
    }
}

/// What `path` and `query` are answered.
pub(crate) async fn answer(recon: &Arc<Recon>, path: &str, query: &str) -> Answer {
    let Some(rest) = path.strip_prefix("/api/v1/") else {
        return refused(404, "the API is at /api/v1");
    };
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    match route(recon, &parts, &Query::read(query)).await {
        Ok(value) => made(200, &value),
        Err(trouble) => refused(trouble.status, &trouble.why),
    }
}

async fn route(recon: &Recon, parts: &[&str], query: &Query) -> Result<Value, Trouble> {
    match parts {
        ["clusterState"] => Ok(cluster::state(recon)),
        ["datanodes"] => Ok(cluster::datanodes(&recon.state())),
        ["pipelines"] => Ok(cluster::pipelines(&recon.state(), recon.now_ms())),
        ["task", "status"] => Ok(cluster::tasks(&recon.state())),
        ["containers"] => containers::list(&recon.state(), query),
        ["containers", "missing"] => containers::missing(&recon.state(), query),
        ["containers", "unhealthy"] => containers::unhealthy(&recon.state(), None, query),
        ["containers", "unhealthy", state] => containers::unhealthy(&recon.state(), Some(state), query),
        ["containers", "deleted"] => containers::in_state(&recon.state(), "DELETED", query),
        ["containers", "quasiClosed"] => containers::in_state(&recon.state(), "QUASI_CLOSED", query),
        ["containers", id, "replicaHistory"] => containers::history(recon, id).await,
        ["volumes"] => namespace::volumes(&recon.state(), query),
        ["buckets"] => namespace::buckets(&recon.state(), query),
        ["namespace", "summary"] => namespace::summary(recon, query.text("path")).await,
        ["namespace", "du" | "usage"] => namespace::usage(recon, query).await,
        ["namespace", "quota"] => namespace::quota(recon, query.text("path")).await,
        ["namespace", "dist"] => namespace::dist(recon, query.text("path")).await,
        ["keys", "listKeys"] => keys::list(recon, query).await,
        ["allotrope", "overview"] => Ok(own::overview(&recon.state(), recon.now_ms())),
        ["allotrope", "series"] => Ok(recon.state().history.columns(query.number("after", 0)?)),
        ["allotrope", "datanodes"] => Ok(own::datanodes(&recon.state(), recon.now_ms())),
        ["allotrope", "containers"] => own::containers(&recon.state(), query),
        ["allotrope", "containers", id] => own::container(recon, id).await,
        ["allotrope", "level"] => levels::level(recon, query).await,
        ["allotrope", "key"] => keys::one(recon, query.text("path")).await,
        ["allotrope", "repair"] => Ok(own::repair(&recon.state(), recon.now_ms())),
        _ => Err(Trouble::missing("the API has no such path")),
    }
}

fn container_id(text: &str) -> Result<i64, Trouble> {
    text.parse().map_err(|_| Trouble::bad(format!("{text} is no container's number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_decoded_and_limits_bounded() {
        let query = Query::read("path=%2Fa%26b%3Cc&limit=5&prevKey=x+y&bad=%zz");
        assert_eq!((query.text("path"), query.text("prevKey"), query.text("none")), ("/a&b<c", "x y", ""));
        assert_eq!(query.limit().unwrap(), 5);
        assert_eq!(Query::read("limit=-1").limit().unwrap(), LIMIT_MAX);
        assert_eq!(Query::read("limit=99999999").limit().unwrap(), LIMIT_MAX);
        assert_eq!(Query::read("").limit().unwrap(), LIMIT);
        assert_eq!(Query::read("limit=x").limit().unwrap_err().status, 400);
        assert_eq!(Query::read("limit=99999999999999999999").limit().unwrap_err().status, 400);
    }
}
