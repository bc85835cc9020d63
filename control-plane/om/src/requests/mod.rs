//! Requests: each a file, each a pair of pure functions, `plan` and `apply`, or one, `read`.
//!
//! Shape   `plan` runs on the leader before the log: it checks names against a moment of the tables, fills in what the
//!         log must not leave open (owner, rights, replication), and says how many blocks it wants. `apply` runs on every member, in log
//!         order: it checks again, against the tables as they are, and changes them. `read` answers from a moment.
//! Law     `apply` is a function of tables, request and log time; a refused request changes nothing.
//! Source  `table` lists every request there is, what answers it and the test that shows it.

mod access;
mod acl;
mod allocate_block;
mod attributes;
mod bucket_tags;
mod commit_key;
mod complete_upload;
mod create_bucket;
mod create_directory;
mod create_file;
mod create_key;
mod create_volume;
mod delete_bucket;
mod delete_key;
mod delete_volume;
mod expiry;
mod file_status;
mod get_key_info;
mod info_bucket;
mod info_volume;
mod list_buckets;
mod list_keys;
mod list_open_files;
mod list_status;
mod list_versions;
mod list_volume;
mod open;
mod parts;
mod prepare;
mod purge_directories;
mod purge_keys;
mod recover_lease;
mod rename_key;
mod s3_secrets;
mod s3_volume;
mod set_bucket_property;
mod set_volume_property;
pub mod table;
mod uploads;

use allotrope_proto::hdds::ExcludeListProto;
use allotrope_proto::om::{KeyLocation, OmRequest, OmResponse, Type};
use allotrope_types::ReplicationConfig;

use crate::namespace::rights::Person;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::tx::{Db, Tx};

/// What a request is answered from.
pub struct Scene<'a> {
    /// A moment of the tables.
    pub db: Db<'a>,
    /// This OM's settings.
    pub settings: &'a Settings,
    /// Who asks.
    pub who: &'a Who,
    /// Now, in milliseconds since 1970, by the leader's clock.
    pub now_ms: u64,
    /// An id for a multipart upload, unique and drawn by the leader.
    pub upload_id: &'a str,
    /// Draws 128 random bits.
    pub random: &'a (dyn Fn() -> u128 + Send + Sync),
}

/// Who asks. Without security these are claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The user to act as.
    pub user: String,
    /// The host the user asks from, as text.
    pub address: String,
}

pub(crate) use access::check as check_access;
pub(crate) use list_versions::read as list_versions;
pub(crate) use prepare::{REPAIR_ROW, gate, prepared_by};
pub(crate) use s3_secrets::hex;

impl Scene<'_> {
    /// Whether who asks may do everything.
    fn is_admin(&self) -> bool {
        self.settings.is_admin(&self.who.user)
    }

    /// Who asks, as lists know people.
    fn person(&self) -> Person {
        Person { address: self.who.address.clone(), ..self.person_named(&self.who.user) }
    }

    /// The user of that name, from no address.
    fn person_named(&self, user: &str) -> Person {
        Person { user: user.to_owned(), groups: self.settings.groups.all(user), address: String::new() }
    }

    /// Random bits, drawn anew with each call.
    fn random(&self) -> u128 {
        (self.random)()
    }

    /// How many entries of a listing to give, of `asked` for.
    fn page(&self, asked: Option<i64>) -> usize {
        let max = self.settings.list_max;
        asked
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| *count > 0)
            .map_or(max, |count| count.min(max))
    }

    /// The primary group of `user`, if this machine knows it.
    fn group_of(&self, user: &str) -> Option<String> {
        self.settings.groups.primary_group(user)
    }
}

/// Blocks that a request needs of SCM before it can go into the log.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockWish {
    /// How many blocks (of an EC key: block groups).
    pub count: u64,
    /// Bytes of one block.
    pub size: u64,
    /// How they are kept.
    pub config: ReplicationConfig,
    /// Where the client does not want them.
    pub exclude: Option<ExcludeListProto>,
}

/// What a request needs before it goes into the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing more.
    Ready,
    /// Blocks, to be put in with [`give_blocks`].
    Blocks(BlockWish),
}

/// Answers from a moment of the tables.
pub type ReadFn = fn(&Scene<'_>, OmRequest) -> Result<OmResponse, Refusal>;
/// Makes a request ready for the log.
pub type PlanFn = fn(&Scene<'_>, &mut OmRequest) -> Result<Plan, Refusal>;
/// Changes the tables.
pub type ApplyFn = fn(&mut Tx<'_>, OmRequest) -> Result<OmResponse, Refusal>;

/// What a request is answered by.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// From a moment of the tables.
    Read(ReadFn),
    /// Through the log.
    Write(PlanFn, ApplyFn),
    /// By the server itself, from what it knows of this OM.
    Server,
    /// By the server itself, which puts a part of it through the log.
    ServerLogged(ApplyFn),
    /// Only OM itself may ask this.
    Internal(ApplyFn),
    /// NOT_SUPPORTED_OPERATION, and why.
    NotSupported(&'static str),
}

/// A plan that needs nothing.
fn ready(_: &Scene<'_>, _: &mut OmRequest) -> Result<Plan, Refusal> {
    Ok(Plan::Ready)
}

/// Puts allocated blocks into the request that wished for them.
pub fn give_blocks(request: &mut OmRequest, mut blocks: Vec<KeyLocation>) {
    match Type::try_from(request.cmd_type) {
        Ok(Type::CreateKey) => {
            request.create_key_request.get_or_insert_default().key_args.key_locations = blocks;
        }
        Ok(Type::CreateFile) => {
            request.create_file_request.get_or_insert_default().key_args.key_locations = blocks;
        }
        Ok(Type::AllocateBlock) => {
            request.allocate_block_request.get_or_insert_default().key_location = blocks.pop();
        }
        _ => {}
    }
}
