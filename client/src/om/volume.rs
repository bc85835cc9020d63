//! Volumes.

use std::collections::BTreeMap;

use allotrope_proto::om::list_volume_request::Scope;
use allotrope_proto::om::{
    CreateVolumeRequest, DeleteVolumeRequest, InfoVolumeRequest, ListVolumeRequest, SetVolumePropertyRequest,
    Type, VolumeInfo,
};

use super::{Acl, Om, QuotaChange, part};
use crate::client::Client;
use crate::error::Error;
use crate::wire::{pairs, quota};

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
            quota_bytes: quota(info.quota_in_bytes),
            quota_namespace: info.quota_in_namespace.unwrap_or(-1),
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
        let wish = SetVolumePropertyRequest {
            volume_name: name.to_owned(),
            quota_in_bytes: Some(bytes),
            quota_in_namespace: Some(namespace),
            ..Default::default()
        };
        self.om().set_volume(&format!("set the quotas of volume {name}"), wish).await.map(drop)
    }

    /// Gives a volume another owner; false if it was the owner already.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_FOUND`, `USER_TOO_MANY_VOLUMES`.
    pub async fn set_volume_owner(&self, name: &str, owner: &str) -> Result<bool, Error> {
        let wish = SetVolumePropertyRequest {
            volume_name: name.to_owned(),
            owner_name: Some(owner.to_owned()),
            ..Default::default()
        };
        self.om().set_volume(&format!("set the owner of volume {name}"), wish).await
    }
}

impl Om {
    /// Whether OM says that something changed.
    async fn set_volume(&self, act: &str, wish: SetVolumePropertyRequest) -> Result<bool, Error> {
        let mut request = self.request(Type::SetVolumeProperty);
        request.set_volume_property_request = Some(Box::new(wish));
        let response = self.submit(act, &request).await?;
        let changed = response.set_volume_property_response.and_then(|response| response.response);
        Ok(changed.unwrap_or(true))
    }

    pub(crate) async fn create_volume(&self, name: &str, options: VolumeOptions) -> Result<(), Error> {
        let limit = |quota: Option<u64>| quota.map_or(-1, u64::cast_signed);
        let info = VolumeInfo {
            admin_name: self.user().to_owned(),
            owner_name: options.owner.unwrap_or_else(|| self.user().to_owned()),
            volume: name.to_owned(),
            quota_in_bytes: Some(limit(options.quota_bytes).cast_unsigned()),
            quota_in_namespace: Some(limit(options.quota_namespace)),
            ..Default::default()
        };
        let mut request = self.request(Type::CreateVolume);
        request.create_volume_request = Some(Box::new(CreateVolumeRequest { volume_info: info }));
        self.submit(&format!("create volume {name}"), &request).await.map(drop)
    }

    pub(crate) async fn volume(&self, name: &str) -> Result<Volume, Error> {
        let act = format!("look up volume {name}");
        let mut request = self.request(Type::InfoVolume);
        request.info_volume_request = Some(Box::new(InfoVolumeRequest { volume_name: name.to_owned() }));
        let response = self.submit(&act, &request).await?;
        let info = response.info_volume_response.and_then(|response| response.volume_info);
        part(&act, info, "the volume").map(Volume::from)
    }

    pub(crate) async fn delete_volume(&self, name: &str) -> Result<(), Error> {
        let mut request = self.request(Type::DeleteVolume);
        request.delete_volume_request = Some(Box::new(DeleteVolumeRequest { volume_name: name.to_owned() }));
        self.submit(&format!("delete volume {name}"), &request).await.map(drop)
    }

    /// One page: volumes behind `after` whose names begin with `prefix`; those of `user`, or all.
    pub(crate) async fn list_volumes(
        &self,
        user: Option<&str>,
        prefix: &str,
        after: &str,
        count_max: u32,
    ) -> Result<Vec<Volume>, Error> {
        let scope = if user.is_some() { Scope::VolumesByUser } else { Scope::VolumesByCluster };
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut request = self.request(Type::ListVolume);
        request.list_volume_request = Some(Box::new(ListVolumeRequest {
            scope: scope as i32,
            user_name: user.map(str::to_owned),
            prefix: text(prefix),
            prev_key: text(after),
            max_keys: Some(count_max),
        }));
        let response = self.submit("list volumes", &request).await?;
        let list = part("list volumes", response.list_volume_response, "the list")?;
        Ok(list.volume_info.into_iter().map(Volume::from).collect())
    }
}
