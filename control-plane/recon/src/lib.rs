//! Recon: the cluster as an API and a web page.
//!
//! Owns    the passive view of SCM and OM, the REST paths and the pages drawn from it.
//! Shape   `collect` asks SCM, OM and every server's metrics page in rounds and writes what it learns into one `state`;
//!         `api` answers from that state, and asks OM or SCM itself only for what is paged on demand (keys, one container).
//!         `server` is the HTTP around it, `assets` the page.
//! Bounds  every list that is kept has a most, named where it is kept; every question has a deadline.
//! Errors  a source that does not answer leaves its last known state, with the time since when it is silent.
//! Never   decides or changes anything in the cluster.

mod api;
mod assets;
mod collect;
mod config;
mod figures;
mod health;
mod history;
mod model;
mod pages;
mod recon;
mod server;
mod start;
mod state;

pub use config::{Clock, Config, MetricsAt};
pub use start::{Running, StartError, start};
