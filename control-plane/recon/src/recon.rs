//! One Recon: what it asks with, and what it knows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::om::{OmRequest, OmResponse, Status, Type as OmType, UserInfo};
use allotrope_proto::rpc::catalog::{OmSubmit, ScmContainerSubmit};
use allotrope_proto::rpc::{CallError, CallOptions, ClientId, Failover, RpcClient as _};
use allotrope_proto::scm_container::{
    ScmContainerLocationRequest, ScmContainerLocationResponse, Type as ScmType,
};
use serde_json::Value;

use crate::config::Config;
use crate::state::State;

/// How long SCM or OM may take for an answer, their failover included.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// `ClientVersion` of a client that knows bucket layouts.
const CLIENT_VERSION: u32 = 3;
/// Pages of keys that are kept for when OM is silent.
const PAGES_MAX: usize = 64;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It was answered with a refusal.
    #[error("{0}")]
    Refused(String),
    /// As refused, because what was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The answer lacks what it should hold.
    #[error("the answer to {0} is empty")]
    Empty(&'static str),
}

impl AskError {
    /// In one line, causes included.
    pub(crate) fn line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            let more = next.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = next.source();
        }
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// Whether the server was there to answer.
    pub(crate) fn was_answered(&self) -> bool {
        match self {
            AskError::Call(error) => error.remote_class().is_some(),
            _ => true,
        }
    }
}

/// The running Recon, shared by its tasks.
pub(crate) struct Recon {
    pub(crate) config: Config,
    scm: Failover<GrpcClient>,
    om: Failover<GrpcClient>,
    state: Mutex<State>,
    /// Pages of keys that OM gave last, by what was asked; the newest last.
    pages: Mutex<VecDeque<(String, u64, Value)>>,
    pub(crate) requests: AtomicU64,
}

fn client(target: &Target, chance: u128) -> std::io::Result<GrpcClient> {
    let id = ClientId::from_bytes(chance.to_be_bytes());
    GrpcClient::new(target.clone(), Plain, id, GrpcClientConfig::default())
}

fn group(targets: &[Target], chance: u128) -> std::io::Result<Failover<GrpcClient>> {
    let clients = targets.iter().map(|target| client(target, chance)).collect::<Result<Vec<_>, _>>()?;
    if clients.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no server is named"));
    }
    Ok(Failover::new(clients))
}

impl Recon {
    /// # Errors
    /// If a server's host cannot stand in a URI, or there is none.
    pub(crate) fn new(config: Config) -> std::io::Result<Recon> {
        Ok(Recon {
            scm: group(&config.scms, config.chance)?,
            om: group(&config.oms, config.chance)?,
            config,
            state: Mutex::new(State::default()),
            pages: Mutex::default(),
            requests: AtomicU64::new(0),
        })
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.config.clock)()
    }

    /// What is known. Held for as long as it takes to read or write it, never across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of the SCM that leads to `kind`, whose arguments `fill` puts in.
    pub(crate) async fn ask_scm(
        &self,
        kind: ScmType,
        fill: impl FnOnce(&mut ScmContainerLocationRequest),
    ) -> Result<ScmContainerLocationResponse, AskError> {
        let mut request = ScmContainerLocationRequest { cmd_type: kind as i32, ..Default::default() };
        fill(&mut request);
        let options = CallOptions { time_max: Some(ANSWER_MAX), ..CallOptions::default() };
        match self.scm.call::<ScmContainerSubmit>(&request, &options).await {
            Err(CallError::Remote { message, .. }) => Err(AskError::Refused(message)),
            done => Ok(done?),
        }
    }

    /// The answer of the OM that leads.
    pub(crate) async fn ask_om(
        &self,
        kind: OmType,
        fill: impl FnOnce(&mut OmRequest),
    ) -> Result<OmResponse, AskError> {
        let mut request = OmRequest {
            cmd_type: kind as i32,
            client_id: format!("recon-{:012x}", self.config.chance & 0xffff_ffff_ffff),
            version: Some(CLIENT_VERSION),
            user_info: Some(Box::new(UserInfo {
                user_name: Some(self.config.user.clone()),
                ..Default::default()
            })),
            ..Default::default()
        };
        fill(&mut request);
        let options = CallOptions { time_max: Some(ANSWER_MAX), ..CallOptions::default() };
        let answer = self.om.call::<OmSubmit>(&request, &options).await?;
        match Status::try_from(answer.status) {
            Ok(Status::Ok) => Ok(answer),
            Ok(
                Status::VolumeNotFound
                | Status::BucketNotFound
                | Status::KeyNotFound
                | Status::FileNotFound
                | Status::DirectoryNotFound,
            ) => Err(AskError::NotFound(answer.message.unwrap_or_default())),
            Ok(status) => {
                let message = answer.message.unwrap_or_default();
                Err(AskError::Refused(format!("{}: {message}", status.as_str_name())))
            }
            Err(_) => Err(AskError::Refused(answer.message.unwrap_or_default())),
        }
    }

    /// Keeps a page for when OM is silent.
    pub(crate) fn keep_page(&self, asked: String, page: &Value) {
        let now_ms = self.now_ms();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|(known, ..)| *known != asked);
        if pages.len() == PAGES_MAX {
            pages.pop_front();
        }
        pages.push_back((asked, now_ms, page.clone()));
    }

    /// The page that OM last gave for `asked`, and when.
    pub(crate) fn kept_page(&self, asked: &str) -> Option<(u64, Value)> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.iter().find(|(known, ..)| known == asked).map(|(_, at_ms, page)| (*at_ms, page.clone()))
    }

    /// Counts a request of the API.
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}
