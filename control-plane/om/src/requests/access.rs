//! Which rights a request needs, and whether who asks has them; only where `ozone.acl.enabled` is on.
//!
//! Shape   [`needs`] says what a request asks of which object; [`check`] holds that against lists and owners, on the leader, before
//!         anything else is decided.
//! Law     what does not exist denies nothing: the request itself says what is missing.
//! Errors  PERMISSION_DENIED, which names the user, the right and the object.

use allotrope_proto::om::ozone_obj::ObjectType;
use allotrope_proto::om::{KeyArgs, OmRequest, OzoneAclInfo, OzoneObj, Type};
use allotrope_types::OmStatus;

use super::Scene;
use crate::namespace::rights::{Person, Right, grants};
use crate::namespace::tree::Found;
use crate::namespace::{buckets, keys, prefixes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey, VOLUMES, VolumeKey};

/// What a right is asked on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Object {
    Volume(String),
    Bucket(String, String),
    Key(String, String, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Need {
    Right(Object, Right),
    Admin,
}

fn key(args: Option<&KeyArgs>, right: Right) -> Vec<Need> {
    let args = args.cloned().unwrap_or_default();
    vec![Need::Right(Object::Key(args.volume_name, args.bucket_name, args.key_name), right)]
}

fn bucket(volume: &str, bucket: &str, right: Right) -> Vec<Need> {
    vec![Need::Right(Object::Bucket(volume.to_owned(), bucket.to_owned()), right)]
}

fn volume(volume: &str, right: Right) -> Vec<Need> {
    vec![Need::Right(Object::Volume(volume.to_owned()), right)]
}

fn object(named: Option<&OzoneObj>, right: Right) -> Vec<Need> {
    let Some(named) = named else { return Vec::new() };
    let mut parts = named.path.trim_start_matches('/').splitn(3, '/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let object = match ObjectType::try_from(named.res_type) {
        Ok(ObjectType::Volume) => Object::Volume(next()),
        Ok(ObjectType::Bucket) => Object::Bucket(next(), next()),
        _ => Object::Key(next(), next(), next()),
    };
    vec![Need::Right(object, right)]
}

/// What `request` needs.
fn needs(request: &OmRequest, s3_volume: &str) -> Vec<Need> {
    use Right::{Create, Delete, List, Read, ReadAcl, Write, WriteAcl};
    let r = request;
    macro_rules! args {
        ($field:ident) => {
            r.$field.as_ref().map(|asked| &asked.key_args)
        };
    }
    match Type::try_from(r.cmd_type) {
        Ok(Type::CreateVolume | Type::Prepare | Type::CancelPrepare | Type::TransferLeadership) => {
            vec![Need::Admin]
        }
        Ok(Type::StartQuotaRepair | Type::FinalizeUpgrade | Type::SetSafeMode) => vec![Need::Admin],
        Ok(Type::SetVolumeProperty) => {
            r.set_volume_property_request.as_ref().map_or_else(Vec::new, |asked| {
                volume(&asked.volume_name, if asked.owner_name.is_some() { WriteAcl } else { Write })
            })
        }
        Ok(Type::InfoVolume) => {
            r.info_volume_request.as_ref().map_or_else(Vec::new, |asked| volume(&asked.volume_name, Read))
        }
        Ok(Type::DeleteVolume) => {
            r.delete_volume_request.as_ref().map_or_else(Vec::new, |asked| volume(&asked.volume_name, Delete))
        }
        Ok(Type::ListBuckets) => {
            r.list_buckets_request.as_ref().map_or_else(Vec::new, |asked| volume(&asked.volume_name, List))
        }
        Ok(Type::CreateBucket) => r.create_bucket_request.as_ref().map_or_else(Vec::new, |asked| {
            bucket(&asked.bucket_info.volume_name, &asked.bucket_info.bucket_name, Create)
        }),
        Ok(Type::InfoBucket) => r
            .info_bucket_request
            .as_ref()
            .map_or_else(Vec::new, |asked| bucket(&asked.volume_name, &asked.bucket_name, Read)),
        Ok(Type::DeleteBucket) => r
            .delete_bucket_request
            .as_ref()
            .map_or_else(Vec::new, |asked| bucket(&asked.volume_name, &asked.bucket_name, Delete)),
        Ok(Type::SetBucketProperty) => {
            let args = r.set_bucket_property_request.as_ref().and_then(|asked| asked.bucket_args.as_ref());
            args.map_or_else(Vec::new, |args| {
                let right = if args.owner_name.is_some() { WriteAcl } else { Write };
                bucket(&args.volume_name, &args.bucket_name, right)
            })
        }
        Ok(Type::PutBucketTagging) => r.put_bucket_tagging_request.as_ref().map_or_else(Vec::new, |asked| {
            bucket(&asked.bucket_args.volume_name, &asked.bucket_args.bucket_name, Write)
        }),
        Ok(Type::DeleteBucketTagging) => {
            r.delete_bucket_tagging_request.as_ref().map_or_else(Vec::new, |asked| {
                bucket(&asked.bucket_args.volume_name, &asked.bucket_args.bucket_name, Write)
            })
        }
        Ok(Type::GetBucketTagging) => r.get_bucket_tagging_request.as_ref().map_or_else(Vec::new, |asked| {
            bucket(&asked.bucket_args.volume_name, &asked.bucket_args.bucket_name, Read)
        }),
        Ok(Type::ListKeys | Type::ListKeysLight) => r
            .list_keys_request
            .as_ref()
            .map_or_else(Vec::new, |asked| bucket(&asked.volume_name, &asked.bucket_name, List)),
        Ok(Type::ListStatus | Type::ListStatusLight) => {
            r.list_status_request.as_ref().map_or_else(Vec::new, |asked| {
                bucket(&asked.key_args.volume_name, &asked.key_args.bucket_name, List)
            })
        }
        Ok(Type::ListMultipartUploads) => r
            .list_multipart_uploads_request
            .as_ref()
            .map_or_else(Vec::new, |asked| bucket(&asked.volume, &asked.bucket, List)),
        Ok(Type::ListMultiPartUploadParts) => r
            .list_multipart_upload_parts_request
            .as_ref()
            .map_or_else(Vec::new, |asked| bucket(&asked.volume, &asked.bucket, List)),
        Ok(Type::CreateKey) => key(args!(create_key_request), Create),
        Ok(Type::CreateFile) => key(args!(create_file_request), Create),
        Ok(Type::CreateDirectory) => key(args!(create_directory_request), Create),
        Ok(Type::CommitKey) => key(args!(commit_key_request), Create),
        Ok(Type::AllocateBlock) => key(args!(allocate_block_request), Create),
        Ok(Type::InitiateMultiPartUpload) => key(args!(initiate_multi_part_upload_request), Create),
        Ok(Type::CommitMultiPartUpload) => key(args!(commit_multi_part_upload_request), Create),
        Ok(Type::CompleteMultiPartUpload) => key(args!(complete_multi_part_upload_request), Create),
        Ok(Type::AbortMultiPartUpload) => key(args!(abort_multi_part_upload_request), Create),
        Ok(Type::LookupKey) => key(args!(lookup_key_request), Read),
        Ok(Type::LookupFile) => key(args!(lookup_file_request), Read),
        Ok(Type::GetFileStatus) => key(args!(get_file_status_request), Read),
        Ok(Type::GetKeyInfo) => {
            let mut args = args!(get_key_info_request).cloned().unwrap_or_default();
            if r.get_key_info_request.as_ref().is_some_and(|asked| asked.assume_s3_context()) {
                args.volume_name = s3_volume.to_owned();
            }
            key(Some(&args), Read)
        }
        Ok(Type::SetTimes) => key(args!(set_times_request), WriteAcl),
        Ok(Type::PutObjectTagging) => key(args!(put_object_tagging_request), Write),
        Ok(Type::DeleteObjectTagging) => key(args!(delete_object_tagging_request), Write),
        Ok(Type::GetObjectTagging) => key(args!(get_object_tagging_request), Read),
        Ok(Type::DeleteKey) => key(args!(delete_key_request), Delete),
        Ok(Type::DeleteKeys) => {
            let asked = r.delete_keys_request.as_ref().and_then(|asked| asked.delete_keys.as_ref());
            asked.map_or_else(Vec::new, |asked| {
                let of = |name: &String| {
                    Object::Key(asked.volume_name.clone(), asked.bucket_name.clone(), name.clone())
                };
                asked.keys.iter().map(|name| Need::Right(of(name), Delete)).collect()
            })
        }
        Ok(Type::RenameKey) => r.rename_key_request.as_ref().map_or_else(Vec::new, |asked| {
            let to = KeyArgs { key_name: asked.to_key_name.clone(), ..asked.key_args.clone() };
            [key(Some(&asked.key_args), Delete), key(Some(&to), Create)].concat()
        }),
        Ok(Type::RenameKeys) => r.rename_keys_request.as_ref().map_or_else(Vec::new, |asked| {
            let asked = &asked.rename_keys_args;
            bucket(&asked.volume_name, &asked.bucket_name, Write)
        }),
        Ok(Type::RecoverLease) => r.recover_lease_request.as_ref().map_or_else(Vec::new, |asked| {
            let (volume, bucket) = (asked.volume_name().to_owned(), asked.bucket_name().to_owned());
            vec![Need::Right(Object::Key(volume, bucket, asked.key_name().to_owned()), Write)]
        }),
        Ok(Type::AddAcl) => object(r.add_acl_request.as_ref().map(|asked| &asked.obj), WriteAcl),
        Ok(Type::RemoveAcl) => object(r.remove_acl_request.as_ref().map(|asked| &asked.obj), WriteAcl),
        Ok(Type::SetAcl) => object(r.set_acl_request.as_ref().map(|asked| &asked.obj), WriteAcl),
        Ok(Type::GetAcl) => object(r.get_acl_request.as_ref().map(|asked| &asked.obj), ReadAcl),
        // Volumes are listed if their list grants it; secrets, open files and the rest check by themselves.
        _ => Vec::new(),
    }
}

/// Refuses `request` if who asks lacks a right it needs.
pub(crate) fn check(scene: &Scene<'_>, request: &OmRequest) -> Result<(), Refusal> {
    if !scene.settings.acl_enabled || scene.is_admin() {
        return Ok(());
    }
    let person = scene.person();
    for need in needs(request, &scene.settings.s3_volume) {
        match need {
            Need::Admin => refuse!(PermissionDenied, "user {} is no administrator", person.user),
            Need::Right(object, right) => check_object(scene, &person, &object, right)?,
        }
    }
    Ok(())
}

fn denied(person: &Person, right: Right, object: &Object) -> Refusal {
    let (kind, path) = match object {
        Object::Volume(volume) => ("volume", volume.clone()),
        Object::Bucket(volume, bucket) => ("bucket", format!("{volume}/{bucket}")),
        Object::Key(volume, bucket, key) => ("key", format!("{volume}/{bucket}/{key}")),
    };
    let message =
        format!("User {} doesn't have {} permission to access {kind} {path}", person.user, right.name());
    Refusal::new(OmStatus::PermissionDenied, message)
}

fn check_object(scene: &Scene<'_>, person: &Person, object: &Object, right: Right) -> Result<(), Refusal> {
    match object {
        Object::Volume(volume) => check_volume(scene, person, volume, right, object),
        Object::Bucket(volume, bucket) => {
            let on_volume = if right == Right::Create { Right::Write } else { Right::Read };
            check_volume(scene, person, volume, on_volume, object)?;
            if right != Right::Create {
                check_bucket(scene, person, volume, bucket, right, object)?;
            }
            Ok(())
        }
        Object::Key(volume, bucket, name) => {
            check_volume(scene, person, volume, Right::Read, object)?;
            let Some(owns) = check_bucket(scene, person, volume, bucket, right.on_holder(), object)? else {
                return Ok(());
            };
            let found = buckets::resolve(scene.db, volume, bucket);
            let Ok(found) = found else { return Ok(()) };
            if let Some(list) = prefixes::nearest(scene.db, &found, name)?
                && !owns
                && !grants(&list.acls, person, right.on_holder())
            {
                return Err(denied(person, right, object));
            }
            match own_list(scene, &found, name)? {
                Some(list) if right != Right::Create && !owns && !grants(&list, person, right) => {
                    Err(denied(person, right, object))
                }
                _ => Ok(()),
            }
        }
    }
}

fn check_volume(
    scene: &Scene<'_>,
    person: &Person,
    volume: &str,
    right: Right,
    object: &Object,
) -> Result<(), Refusal> {
    match scene.db.get(VOLUMES, &VolumeKey::of(volume))? {
        Some(info) if info.owner_name != person.user && !grants(&info.volume_acls, person, right) => {
            Err(denied(person, right, object))
        }
        _ => Ok(()),
    }
}

/// Whether `person` owns the bucket; `None` if there is none. A link asks READ of itself and the right of its source.
fn check_bucket(
    scene: &Scene<'_>,
    person: &Person,
    volume: &str,
    bucket: &str,
    right: Right,
    object: &Object,
) -> Result<Option<bool>, Refusal> {
    let Some(info) = scene.db.get(BUCKETS, &BucketKey::of(volume, bucket))? else { return Ok(None) };
    let (is_link, owns) = (buckets::is_link(&info), info.owner() == person.user);
    let asked = if is_link { Right::Read } else { right };
    if !owns && !grants(&info.acls, person, asked) {
        return Err(denied(person, asked, object));
    }
    if !is_link {
        return Ok(Some(owns));
    }
    let Ok(source) = buckets::resolve(scene.db, volume, bucket) else { return Ok(None) };
    let owns = source.info.owner() == person.user;
    if !owns && !grants(&source.info.acls, person, right) {
        return Err(denied(person, right, object));
    }
    Ok(Some(owns))
}

/// The list of a key or a directory, if there is one of that name.
fn own_list(
    scene: &Scene<'_>,
    bucket: &buckets::Bucket,
    name: &str,
) -> Result<Option<Vec<OzoneAclInfo>>, Refusal> {
    let Ok(name) = bucket.key_name(name) else { return Ok(None) };
    let target = keys::target(scene.db, bucket, &name)?;
    if let Some(walk) = &target.walk
        && let Found::Directory(directory) = &walk.found
    {
        return Ok(Some(directory.acls.clone()));
    }
    Ok(target.existing.map(|key| key.acls))
}
