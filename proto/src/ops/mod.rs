//! What every server shows its operators over HTTP: figures, settings, health, log levels.
//!
//! Owns    the pages and their listener; [`metrics`], the figures a server keeps.
//! Shape   [`Operators`] comes from the command line (where to listen, the settings, the logs); a server adds what it
//!         knows ([`Watched`]) and starts [`serve`]. [`answer`] is pure: a request in, a [`Page`] out.
//! Never   holds figures of its own: each server has its own registry, so that roles in one process do not mix.
//! Errors  a page that is not there is 404, a wrong method 405, a wrong question 400; a sick server answers 503.
//!
//! | page | what |
//! | --- | --- |
//! | `/prom`, `/metrics` | the server's figures, OpenMetrics or Prometheus text |
//! | `/conf` | the settings: XML as Ozone's, or JSON with `?format=json`; `?name=` picks one; secrets are not shown |
//! | `/healthz` | 200 while the server can do its work, else 503 and why |
//! | `/readyz` | 200 once it does its work, else 503 and why |
//! | `/logLevel?log=PART` | the level of a part; with `&level=LEVEL` it is changed until the next start |

mod conf;
pub mod metrics;
mod pages;
mod server;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

pub use pages::{Ask, Page, answer};
pub use server::serve;

/// One setting as `/conf` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value. Not shown if the name says that it is a secret.
    pub value: String,
    /// Where the value comes from: a file, a flag, the default.
    pub origin: String,
}

/// The process's logs.
pub trait LogLevels: Send + Sync {
    /// The level of a part, `allotrope_datanode` for example; empty stands for all that have none of their own.
    fn level(&self, part: &str) -> String;

    /// Gives a part another level until the next start, or says what is wrong with the words.
    fn set_level(&self, part: &str, level: &str) -> Result<(), String>;
}

/// What a server is told about its operators.
#[derive(Clone, Default)]
pub struct Operators {
    /// Where the pages are served; `None`: nowhere. Port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// What `/conf` shows.
    pub settings: Arc<[Setting]>,
    /// What `/logLevel` looks at and changes; `None`: the page is not there.
    pub logs: Option<Arc<dyn LogLevels>>,
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operators")
            .field("listen", &self.listen)
            .field("settings", &self.settings.len())
            .finish()
    }
}

/// A server as its pages see it. Each function is called once a request and answers at once.
pub trait Watched: Send + Sync + 'static {
    /// Its figures now.
    fn figures(&self) -> metrics::Exposition;

    /// Whether it can do its work; if not, why, in one line. Whoever asks restarts it when this stays bad.
    fn health(&self) -> Result<(), String>;

    /// Whether it does its work now; if not, why, in one line. Whoever asks sends nobody here meanwhile.
    fn ready(&self) -> Result<(), String>;
}
