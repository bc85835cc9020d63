//! The one service of OM: a request message in, a response message out, for every transport.
//!
//! Shape   find the request's row; answer a read from a moment of the tables; make a write ready, get its blocks, put it into
//!         the log and wait for its answer.
//! Errors  what the namespace refuses is a response with a status. A fault of the transport is only what sends a client
//!         elsewhere or back later: not the leader, too busy, stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use allotrope_consensus::{CallId, ClientId, Clock, Handle, Origin, ProposeError, ReadError};
use allotrope_proto::om::{
    CreateVolumeRequest, GetS3SecretRequest, GetS3SecretResponse, KeyInfo, ListKeysResponse,
    ListMultipartUploadsRequest, OmRequest, OmResponse, S3Authentication, Type, UserInfo, VolumeInfo,
};
use allotrope_proto::rpc::catalog::{OmListVersions, OmS3Secret, OmSubmit};
use allotrope_proto::rpc::{CallContext, Fault, Service};
use allotrope_types::OmStatus;

use crate::audit;
use crate::blocks::Blocks;
use crate::directory::Directory;
use crate::machine::{Envelope, Namespace};
use crate::refusal::Refusal;
use crate::requests::{self, Answer, Plan, Scene, Who, table};
use crate::s3_signature;
use crate::settings::Settings;
use crate::tables::{S3_SECRETS, VOLUMES, VolumeKey};
use crate::tx::Db;

/// The user of requests that name none.
const NOBODY: &str = "anonymous";

/// Answers OM's requests.
pub struct OmService<B> {
    pub(crate) replica: Handle<Namespace>,
    pub(crate) blocks: Arc<B>,
    settings: Settings,
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<dyn Clock>,
    draws: Draws,
}

/// What the leader draws for requests.
#[derive(Clone)]
pub struct Draws {
    /// Ids for multipart uploads.
    pub upload_ids: Arc<dyn Fn() -> String + Send + Sync>,
    /// 128 random bits.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl<B: Blocks> OmService<B> {
    /// A service on `replica`, with blocks from `blocks`.
    pub fn new(
        replica: Handle<Namespace>,
        blocks: Arc<B>,
        settings: Settings,
        directory: Directory,
        clock: Arc<dyn Clock>,
        draws: Draws,
    ) -> OmService<B> {
        OmService { replica, blocks, settings, directory, clock, draws }
    }

    /// Answers one request of `who`; `origin` tells a retry from a new call. Writes leave a line in the audit log.
    pub async fn answer(&self, who: &Who, origin: Origin, request: OmRequest) -> Result<OmResponse, Fault> {
        let row = Type::try_from(request.cmd_type).ok().and_then(table::find);
        let is_write = matches!(row.map(|row| row.answer), Some(Answer::Write(..) | Answer::ServerLogged(_)));
        let entry = audit::Entry::of(&request, is_write);
        let answered = self.answer_unrecorded(who, origin, request).await;
        if let (Some(entry), Ok(response)) = (entry, &answered) {
            entry.write(who, response);
        }
        answered
    }

    async fn answer_unrecorded(
        &self,
        who: &Who,
        origin: Origin,
        request: OmRequest,
    ) -> Result<OmResponse, Fault> {
        let envelope = Envelope::of(&request);
        if let Some(auth) = request.s3_authentication.as_ref().filter(|_| self.settings.s3_signatures)
            && let Err(refusal) = self.check_signature(auth).await?
        {
            return envelope.answer(Err(refusal)).map_err(|e| damaged(&e));
        }
        let row = Type::try_from(request.cmd_type).ok().and_then(table::find);
        let done = match row.map(|row| row.answer) {
            Some(Answer::Read(read)) => self.read(who, read, request).await?,
            Some(Answer::Write(plan, _)) => match self.write(who, origin, plan, request).await? {
                Ok(response) => return Ok(self.led(response)),
                Err(refusal) => {
                    let response = envelope.answer(Err(refusal)).map_err(|e| damaged(&e))?;
                    return Ok(self.led(response));
                }
            },
            Some(Answer::Server | Answer::ServerLogged(_)) => {
                let denied = self
                    .replica
                    .read_local(|view| requests::check_access(&self.scene(Db::new(view), who, ""), &request));
                match denied {
                    Ok(()) => self.serve(origin, request).await?,
                    Err(refusal) => Err(refusal),
                }
            }
            Some(Answer::Internal(_)) => Err(Refusal::new(
                OmStatus::NotSupportedOperation,
                format!("{} is asked by the manager itself, not by users", name(envelope.cmd_type())),
            )),
            Some(Answer::NotSupported(why)) => Err(Refusal::new(
                OmStatus::NotSupportedOperation,
                format!("{}: {why}", name(envelope.cmd_type())),
            )),
            None => Err(Refusal::new(
                OmStatus::NotSupportedOperation,
                format!("{} is not supported", name(envelope.cmd_type())),
            )),
        };
        envelope.answer(done).map_err(|e| damaged(&e))
    }

    /// Refuses a request that was not signed with the secret of its access id.
    async fn check_signature(&self, auth: &S3Authentication) -> Result<Result<(), Refusal>, Fault> {
        let access_id = auth.access_id().to_owned();
        let found = self.replica.read(|view| Db::new(view).get(S3_SECRETS, &access_id)).await;
        let secret = found.map_err(not_read)?.map_err(|e| damaged(&e))?;
        let signed = secret.is_some_and(|secret| {
            s3_signature::is_signed(&secret.aws_secret, auth.string_to_sign(), auth.signature())
        });
        Ok(match signed {
            true => Ok(()),
            false => Err(Refusal::new(
                OmStatus::InvalidToken,
                format!("the request is not signed with the secret of access id {access_id:?}"),
            )),
        })
    }

    /// Makes the volume that S3's buckets lie in, unless it is there.
    pub(crate) async fn make_s3_volume(&self) -> Result<(), Fault> {
        let volume = VolumeKey::of(&self.settings.s3_volume);
        let found = self.replica.read(|view| Db::new(view).contains(VOLUMES, &volume)).await;
        if found.map_err(not_read)?.map_err(|e| damaged(&e))? {
            return Ok(());
        }
        let user = self.settings.own_user.clone();
        let volume_info = VolumeInfo {
            admin_name: user.clone(),
            owner_name: user.clone(),
            volume: self.settings.s3_volume.clone(),
            ..VolumeInfo::default()
        };
        let request = OmRequest {
            cmd_type: Type::CreateVolume as i32,
            create_volume_request: Some(Box::new(CreateVolumeRequest { volume_info })),
            ..OmRequest::default()
        };
        let response = self.answer(&Who { user, ..Who::default() }, Origin::Service, request).await?;
        match response.status {
            status if status == OmStatus::Ok.number() => {
                tracing::info!(volume = ?volume, "the volume for S3 is made")
            }
            _ => tracing::warn!(message = response.message(), "the volume for S3 cannot be made"),
        }
        Ok(())
    }

    /// Answers to writes name the leader, as Ozone's do.
    fn led(&self, mut response: OmResponse) -> OmResponse {
        response.leader_om_node_id = Some(self.directory.node_id.clone());
        response
    }

    async fn read(
        &self,
        who: &Who,
        read: requests::ReadFn,
        request: OmRequest,
    ) -> Result<Result<OmResponse, Refusal>, Fault> {
        let wants_places = wants_places(&request);
        let answered = self
            .replica
            .read(|view| {
                let scene = self.scene(Db::new(view), who, "");
                requests::check_access(&scene, &request)?;
                read(&scene, request)
            })
            .await;
        let mut done = answered.map_err(not_read)?;
        if let Ok(response) = &mut done
            && wants_places
            && let Err(refusal) = self.locate(response).await
        {
            done = Err(refusal);
        }
        Ok(done)
    }

    async fn write(
        &self,
        who: &Who,
        origin: Origin,
        plan: requests::PlanFn,
        mut request: OmRequest,
    ) -> Result<Result<OmResponse, Refusal>, Fault> {
        request.user_info = Some(Box::new(UserInfo {
            user_name: Some(who.user.clone()),
            remote_address: Some(who.address.clone()),
            host_name: None,
        }));
        let upload_id = (self.draws.upload_ids)();
        let planned = self
            .replica
            .read(|view| {
                let scene = self.scene(Db::new(view), who, &upload_id);
                requests::check_access(&scene, &request)?;
                plan(&scene, &mut request)
            })
            .await;
        match planned.map_err(not_read)? {
            Ok(Plan::Ready) => {}
            Ok(Plan::Blocks(wish)) => match self.blocks.allocate(&wish, &who.address).await {
                Ok(blocks) => requests::give_blocks(&mut request, blocks),
                Err(refusal) => return Ok(Err(refusal)),
            },
            Err(refusal) => return Ok(Err(refusal)),
        }
        let recovers = request.recover_lease_request.is_some();
        let mut response = self.replica.propose(origin, &request).await.map_err(not_proposed)?;
        if recovers && let Err(refusal) = self.locate(&mut response).await {
            return Ok(Err(refusal));
        }
        Ok(Ok(response))
    }

    fn scene<'a>(&'a self, db: Db<'a>, who: &'a Who, upload_id: &'a str) -> Scene<'a> {
        let now_ms = self.clock.unix_ms();
        Scene { db, settings: &self.settings, who, now_ms, upload_id, random: &*self.draws.random }
    }

    /// Fills in where the blocks of the response's keys are read now.
    async fn locate(&self, response: &mut OmResponse) -> Result<(), Refusal> {
        let mut keys = keys_of(response);
        let locations = |keys: &mut Vec<&mut KeyInfo>| -> Vec<i64> {
            let lists = keys.iter().flat_map(|key| &key.key_location_list);
            let mut ids: Vec<i64> = lists
                .flat_map(|list| &list.key_locations)
                .map(|location| location.block_id.container_block_id.container_id)
                .collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let containers = locations(&mut keys);
        if containers.is_empty() {
            return Ok(());
        }
        let places: BTreeMap<_, _> = self.blocks.locate(&containers).await?;
        for list in keys.iter_mut().flat_map(|key| &mut key.key_location_list) {
            for location in &mut list.key_locations {
                location.pipeline = places.get(&location.block_id.container_block_id.container_id).cloned();
            }
        }
        Ok(())
    }

    /// The user this OM acts as.
    pub(crate) fn own_user(&self) -> &str {
        &self.settings.own_user
    }

    /// Whether rights are enforced here.
    pub(crate) fn enforces_rights(&self) -> bool {
        self.settings.acl_enabled
    }

    /// Whether `user` may do everything.
    pub(crate) fn is_admin(&self, user: &str) -> bool {
        self.settings.is_admin(user)
    }

    /// Now, by the clock that was passed in.
    pub fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }
}

impl<B: Blocks> Service<OmSubmit> for OmService<B> {
    async fn call(&self, context: CallContext, request: OmRequest) -> Result<OmResponse, Fault> {
        let caller = context.caller;
        let claimed = request.user_info.as_ref().and_then(|info| info.user_name.clone());
        let access_id = request.s3_authentication.as_ref().and_then(|auth| auth.access_id.clone());
        let user = access_id
            .or(caller.user.map(|user| user.to_string()))
            .or(claimed)
            .filter(|user| !user.is_empty());
        let who = Who {
            user: user.unwrap_or_else(|| NOBODY.to_owned()),
            address: caller.address_claimed.unwrap_or_else(|| caller.remote.ip().to_string()),
        };
        let origin = match (caller.client_id, u64::try_from(caller.call_id)) {
            (Some(client), Ok(call)) => {
                Origin::Client { client: ClientId(*client.as_bytes()), call: CallId(call) }
            }
            _ => Origin::Service,
        };
        self.answer(&who, origin, request).await
    }
}

impl<B: Blocks> Service<OmListVersions> for OmService<B> {
    async fn call(
        &self,
        context: CallContext,
        request: ListMultipartUploadsRequest,
    ) -> Result<ListKeysResponse, Fault> {
        let who = Who {
            user: context.caller.user.map_or_else(|| NOBODY.to_owned(), |user| user.to_string()),
            address: context.caller.remote.ip().to_string(),
        };
        let read = |view: &allotrope_consensus::View<'_>| {
            requests::list_versions(&self.scene(Db::new(view), &who, ""), &request)
        };
        match self.replica.read(read).await.map_err(not_read)? {
            Ok(page) => Ok(page),
            Err(Refusal::Status { status, message }) => {
                let class = "org.apache.hadoop.ozone.om.exceptions.OMException";
                Err(Fault::application(class, format!("{}: {message}", status.name())))
            }
            Err(Refusal::Table(error)) => Err(damaged(&error)),
        }
    }
}

impl<B: Blocks> Service<OmS3Secret> for OmService<B> {
    async fn call(
        &self,
        context: CallContext,
        request: GetS3SecretRequest,
    ) -> Result<GetS3SecretResponse, Fault> {
        let user = context.caller.user.map_or_else(|| NOBODY.to_owned(), |user| user.to_string());
        let refused = |status: OmStatus, message: String| {
            let class = "org.apache.hadoop.ozone.om.exceptions.OMException";
            Fault::application(class, format!("{}: {message}", status.name()))
        };
        if !self.settings.is_admin(&user) {
            let message = format!("user {user} is no administrator, and so sees nobody's secret");
            return Err(refused(OmStatus::UserMismatch, message));
        }
        let access_id = request.kerberos_id;
        let found = self.replica.read(|view| Db::new(view).get(S3_SECRETS, &access_id)).await;
        match found.map_err(not_read)?.map_err(|e| damaged(&e))? {
            Some(s3_secret) => Ok(GetS3SecretResponse { s3_secret }),
            None => Err(refused(OmStatus::AccessIdNotFound, format!("access id {access_id} has no secret"))),
        }
    }
}

/// Whether the answer needs pipelines: a `head` request does not.
fn wants_places(request: &OmRequest) -> bool {
    let args = [
        request.get_key_info_request.as_ref().map(|asked| &asked.key_args),
        request.lookup_key_request.as_ref().map(|asked| &asked.key_args),
        request.lookup_file_request.as_ref().map(|asked| &asked.key_args),
        request.get_file_status_request.as_ref().map(|asked| &asked.key_args),
        request.list_status_request.as_ref().map(|asked| &asked.key_args),
    ];
    args.into_iter().flatten().next().is_some_and(|args| !args.head_op())
}

/// The keys in `response` that a client may read the bytes of.
fn keys_of(response: &mut OmResponse) -> Vec<&mut KeyInfo> {
    let single = [
        response.get_key_info_response.as_mut().and_then(|answer| answer.key_info.as_mut()),
        response.lookup_key_response.as_mut().and_then(|answer| answer.key_info.as_mut()),
        response.lookup_file_response.as_mut().and_then(|answer| answer.key_info.as_mut()),
        response.get_file_status_response.as_mut().and_then(|answer| answer.status.key_info.as_mut()),
    ];
    let recovered = response.recover_lease_response.as_mut().into_iter();
    let recovered = recovered.flat_map(|answer| [answer.key_info.as_mut(), answer.open_key_info.as_mut()]);
    let listed = response.list_status_response.as_mut().into_iter().flat_map(|answer| &mut answer.statuses);
    single
        .into_iter()
        .chain(recovered)
        .flatten()
        .chain(listed.filter_map(|status| status.key_info.as_mut()))
        .collect()
}

fn name(number: i32) -> String {
    Type::try_from(number)
        .map_or_else(|_| format!("request {number}"), |known| known.as_str_name().to_owned())
}

fn damaged(error: &allotrope_consensus::TableError) -> Fault {
    tracing::error!(error = error as &dyn std::error::Error, "a table cannot be read");
    Fault::io(error.to_string())
}

fn not_read(error: ReadError) -> Fault {
    match error {
        ReadError::NotLeader { .. } => Fault::not_leader(error.to_string()),
        _ => Fault::leader_not_ready(error.to_string()),
    }
}

pub(crate) fn not_proposed(error: ProposeError) -> Fault {
    match error {
        ProposeError::NotLeader { .. } => Fault::not_leader(error.to_string()),
        ProposeError::Busy => Fault::overloaded(error.to_string()),
        // The client asks again with the same call id, and gets the answer if there was one.
        ProposeError::Deadline { .. } => Fault::leader_not_ready(error.to_string()),
        ProposeError::TooLarge { .. } | ProposeError::Stopped { .. } | ProposeError::Answer { .. } => {
            Fault::io(error.to_string())
        }
    }
}
