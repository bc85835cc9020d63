//! Volumes.

use std::collections::BTreeMap;

use allotrope_proto::edge::om::OmCall;
use allotrope_proto::edge::om::volume::{ListVolumes, NamedVolume, SetVolumeProperty, VolumeScope};
use allotrope_proto::edge::om_bucket::VolumeInfo;

use super::quota::{limit, shown};
use super::{Acl, Om, QuotaChange, part};
use crate::client::Client;
use crate::error::Error;
use crate::wire::pairs;

/// A volume as OM shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Who made it.
    pub admin: String,
    /// Whose it is.
    pub owner: String,
    /// Most bytes its buckets' quotas may add up to; -1 without a limit.
    pub quota_bytes: i64,
    /// Most buckets; -1 without a limit.
    pub quota_namespace: i64,
    /// Buckets there are.
    pub used_namespace: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it last changed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// What else was noted with it.
    pub metadata: BTreeMap<String, String>,
    /// Who may do what.
    pub acls: Vec<Acl>,
    /// Things that hold on to it and keep it from being deleted.
    pub references: i64,
}

/// What may be said of a new volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeOptions {
    /// Whose it is to be; the caller's when `None`.
    pub owner: Option<String>,
    /// Most bytes; without a limit when `None`.
    pub quota_bytes: Option<u64>,
    /// Most buckets; without a limit when `None`.
    pub quota_namespace: Option<u64>,
}

impl From<VolumeInfo> for Volume {
    fn from(info: VolumeInfo) -> Volume {
        Volume {
            name: info.volume,
            admin: info.admin_name,
            owner: info.owner_name,
            quota_bytes: shown(info.quota_in_bytes),
            quota_namespace: shown(info.quota_in_namespace),
            // As for Java, what is not counted is 0, and so is a time that was not noted.
            used_namespace: info.used_namespace.unwrap_or(0),
            created_ms: info.creation_time.unwrap_or(0),
            modified_ms: info.modification_time.unwrap_or(0),
            metadata: pairs(info.metadata),
            acls: info.volume_acls.into_iter().map(Acl::from).collect(),
            references: info.ref_count.unwrap_or(0),
        }
    }
}

impl Client {
    /// Changes the quotas of a volume: how many bytes its buckets' quotas may add up to, and how many buckets it may have.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_FOUND`; with `QUOTA_EXCEEDED` where its buckets are beyond the quota already, with
    /// `QUOTA_ERROR` for a quota of 0, and where a bucket has no quota in bytes of its own.
    pub async fn set_volume_quota(&self, name: &str, change: QuotaChange) -> Result<(), Error> {
        let now = self.volume(name).await?;
        let (bytes, namespace) = change.sent(now.quota_bytes, now.quota_namespace);
        let wish = SetVolumeProperty {
            quota_in_bytes: Some(bytes),
            quota_in_namespace: Some(namespace),
            ..unchanged(name)
        };
        self.om().set_volume(&format!("set the quotas of volume {name}"), wish).await.map(drop)
    }

    /// Gives a volume another owner; false if it was the owner already.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_FOUND`, `USER_TOO_MANY_VOLUMES`.
    pub async fn set_volume_owner(&self, name: &str, owner: &str) -> Result<bool, Error> {
        let wish = SetVolumeProperty { owner_name: Some(owner.to_owned()), ..unchanged(name) };
        self.om().set_volume(&format!("set the owner of volume {name}"), wish).await
    }
}

/// A volume of which nothing is to change.
fn unchanged(name: &str) -> SetVolumeProperty {
    SetVolumeProperty {
        volume_name: name.to_owned(),
        owner_name: None,
        quota_in_bytes: None,
        modification_time: None,
        quota_in_namespace: None,
    }
}

fn named(name: &str) -> NamedVolume {
    NamedVolume { volume_name: name.to_owned() }
}

impl Om {
    /// Whether OM says that something changed. Java's OM says it of owners alone: all else that it does is a change.
    async fn set_volume(&self, act: &str, wish: SetVolumeProperty) -> Result<bool, Error> {
        Ok(ask!(self, act, SetVolumeProperty(wish))?.response.unwrap_or(true))
    }

    pub(crate) async fn create_volume(&self, name: &str, options: VolumeOptions) -> Result<(), Error> {
        let info = VolumeInfo {
            admin_name: self.user().to_owned(),
            owner_name: options.owner.unwrap_or_else(|| self.user().to_owned()),
            volume: name.to_owned(),
            quota_in_bytes: limit(options.quota_bytes),
            metadata: vec![],
            volume_acls: vec![],
            creation_time: None,
            object_id: None,
            update_id: None,
            modification_time: None,
            quota_in_namespace: limit(options.quota_namespace),
            used_namespace: None,
            ref_count: None,
        };
        self.order(&format!("create volume {name}"), OmCall::CreateVolume(info)).await
    }

    pub(crate) async fn volume(&self, name: &str) -> Result<Volume, Error> {
        let act = format!("look up volume {name}");
        let info = ask!(self, &act, InfoVolume(named(name)))?;
        part(&act, info, "InfoVolumeResponse", "volumeInfo").map(Volume::from)
    }

    pub(crate) async fn delete_volume(&self, name: &str) -> Result<(), Error> {
        self.order(&format!("delete volume {name}"), OmCall::DeleteVolume(named(name))).await
    }

    /// One page: volumes behind `after` whose names begin with `prefix`; those of `user`, or all.
    pub(crate) async fn list_volumes(
        &self,
        user: Option<&str>,
        prefix: &str,
        after: &str,
        count_max: u32,
    ) -> Result<Vec<Volume>, Error> {
        let scope = if user.is_some() { VolumeScope::VolumesByUser } else { VolumeScope::VolumesByCluster };
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let call = ListVolumes {
            scope,
            user_name: user.map(str::to_owned),
            prefix: text(prefix),
            prev_key: text(after),
            max_keys: Some(count_max),
        };
        let page = ask!(self, "list volumes", ListVolume(call))?;
        Ok(page.into_iter().map(Volume::from).collect())
    }
}
